"""Measure the training speed of the whole loop in target tokens per second, optionally alternating with JoeyNMT.

    python tests/bench/training_speed.py                      s2s alone, on built-in data
    python tests/bench/training_speed.py --joeynmt DIRECTORY  both on Multi30k, from ../../data/multi30k

DIRECTORY contains `setup.sh` and `run.sh`, which install and train JoeyNMT; `WORK` is where they keep it between runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from s2s.devices.select import choose_precision

BATCH_TOKENS = 4096
COMMON = {
    "model.embedding_size": 256,
    "training.batch_tokens": BATCH_TOKENS,
    "training.label_smoothing": 0.1,
    "training.validation_lines": 0,
    "decoding.beam_size": 1,
    "decoding.max_ratio": 0.1,
}
GRU = {"model.encoder.hidden_size": 256, "model.decoder.hidden_size": 512, "model.decoder.attention_size": 512}
BLOCKS = {
    f"model.{side}.{key}": value
    for side in ("encoder", "decoder")
    for key, value in {"family": "transformer", "layers": 3, "heads": 4, "ffn_size": 1024}.items()
}
LOGGED = 50  # updates per measurement of s2s; JoeyNMT logs every 10
JOEYNMT_UPDATES = 30


@dataclass(frozen=True, slots=True)
class Shape:
    """A network to measure."""

    recipe: str
    settings: dict[str, Any]
    description: str
    joeynmt: str  # network of JoeyNMT to compare with


SHAPES = {
    "Transformer": Shape(
        "attention",
        BLOCKS | {"model.dropout": 0.1},
        "3+3 layers of 256, 4 heads, 1,024 in feed-forward, dropout 0.1",
        "T",
    ),
    "attention": Shape(
        "attention", GRU | {"model.dropout": 0.2}, "GRU 256 per direction / 512, additive, dropout 0.2", "A"
    ),
    "bottleneck": Shape("bottleneck", GRU | {"model.dropout": 0.2}, "the same without attention", "A"),
}


def s2s_speed(recipe: str, settings: dict[str, Any], updates: int) -> float:
    """Return the median target tokens per second of the recipe with these settings."""
    limit = {"training.stop_after": f"{updates} updates", "training.validate_every": f"{updates} updates"}
    values = [part for key, value in {**COMMON, **settings, **limit}.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"S2S_HOME": directory, "S2S_LEASES": f"{directory}/leases"}
        subprocess.run(
            [sys.executable, "-m", "s2s", "train", recipe, *values], env=environment, check=True, capture_output=True
        )
        (metrics,) = Path(directory).glob("runs/*/metrics.jsonl")
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return statistics.median(row["tokens_per_second"] for row in rows if row["kind"] == "training")


def joeynmt_speed(directory: Path, shape: str) -> float:
    """Return the median target tokens per second that JoeyNMT logs for shape T (Transformer) or A (GRU, attention)."""
    command = ["bash", str(directory / "run.sh"), shape, str(JOEYNMT_UPDATES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def precisions() -> list[str]:
    """Return fp32 and, if different, what `auto` selects on this machine."""
    return list(dict.fromkeys(["fp32", choose_precision("auto", torch.device("cpu"))]))


def measure(names: list[str], settings: dict[str, Any], directory: str, joeynmt: Path | None) -> dict[str, float]:
    """Measure each side once (`attention fp32`, `JoeyNMT A`, …), printing each speed when it is known."""
    speeds: dict[str, float] = {}

    def note(key: str, speed: float) -> None:
        speeds[key] = speed
        print(f"{key}: {speed:,.0f}", file=sys.stderr, flush=True)

    for name in names:
        shape = SHAPES[name]
        for precision in precisions():
            chosen = shape.settings | settings | {"training.precision": precision}
            note(f"{name} {precision}", s2s_speed(f"{directory}/{shape.recipe}", chosen, LOGGED))
    if joeynmt:
        for rival in dict.fromkeys(SHAPES[name].joeynmt for name in names):
            note(f"JoeyNMT {rival}", joeynmt_speed(joeynmt, rival))
    return speeds


def report(repetitions: list[dict[str, float]]) -> None:
    """Print medians over the repetitions, and of the ratios within a repetition."""
    for key in repetitions[0]:
        found = [speeds[key] for speeds in repetitions]
        line = f"{key:18} {statistics.median(found):8,.0f}   ({', '.join(f'{speed:,.0f}' for speed in found)})"
        shape = SHAPES.get(key.split()[0])
        rival = f"JoeyNMT {shape.joeynmt}" if shape else ""
        if rival in repetitions[0]:
            ratio = statistics.median(speeds[key] / speeds[rival] for speeds in repetitions)
            line += f"   {ratio:.1f} × {rival}"
        print(line)


def main() -> None:
    """Print the speeds of each side, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joeynmt", type=Path, help="directory with JoeyNMT's setup.sh and run.sh")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=SHAPES, default=list(SHAPES))
    options = parser.parse_args()
    joeynmt: Path | None = options.joeynmt and options.joeynmt.resolve()
    settings = {"data.root": str(joeynmt.parents[1] / "data" / "multi30k")} if joeynmt else {}
    if joeynmt:
        subprocess.run(["bash", str(joeynmt / "setup.sh")], check=True, stdout=subprocess.DEVNULL)
    directory = "multi30k" if joeynmt else "numbers"
    print(f"{directory}: target tokens per second of the whole loop; batches of {BATCH_TOKENS:,} tokens")
    for name in options.networks:
        print(f"  {name}: {SHAPES[name].description}")
    if joeynmt:
        print(
            "  JoeyNMT T, A: the same Transformer; a GRU with attention queried by the current state, and input feeding"
        )
    report([measure(options.networks, settings, directory, joeynmt) for _ in range(options.repetitions)])


if __name__ == "__main__":
    main()
