"""Training speed of the whole loop: target tokens a second, in turns with JoeyNMT where its directory is given.

    python tests/bench/training_speed.py                      s2s alone, on embedded data
    python tests/bench/training_speed.py --joeynmt DIRECTORY     both on Multi30k, which lies beside that directory

DIRECTORY holds `setup.sh` and `run.sh`, which set JoeyNMT up and train it; `WORK` names where it is kept between runs.
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
EMBEDDED = {"tokenizer.vocab_size": 1000}
LOGGED = 50  # updates that a figure of s2s is over; those of JoeyNMT are over 10
JOEYNMT_UPDATES = 30


@dataclass(frozen=True, slots=True)
class Shape:
    """A network that is measured: its recipe and settings, its words, and the shape of JoeyNMT it is held against."""

    recipe: str
    settings: dict[str, Any]
    words: str
    joeynmt: str


SHAPES = {
    "Transformer": Shape(
        "attention",
        BLOCKS | {"model.dropout": 0.1},
        "3+3 layers of 256, 4 heads, 1,024 in feed-forward, dropout 0.1",
        "T",
    ),
    "attention": Shape(
        "attention", GRU | {"model.dropout": 0.2}, "GRU 256 a direction / 512, additive, dropout 0.2", "A"
    ),
    "bottleneck": Shape("bottleneck", GRU | {"model.dropout": 0.2}, "the same without attention", "A"),
}


def s2s_speed(recipe: str, settings: dict[str, Any], updates: int) -> float:
    """Median target tokens a second of the recipe with these settings."""
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
    """Median target tokens a second that JoeyNMT logs, of its shape T (Transformer) or A (GRU with attention)."""
    command = ["bash", str(directory / "run.sh"), shape, str(JOEYNMT_UPDATES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def precisions() -> list[str]:
    """fp32, and what `auto` chooses on this machine where that is another."""
    return list(dict.fromkeys(["fp32", choose_precision("auto", torch.device("cpu"))]))


def turn(names: list[str], settings: dict[str, Any], directory: str, joeynmt: Path | None) -> dict[str, float]:
    """One speed of each side: `attention fp32`, `JoeyNMT A`, …; each is told as soon as it is there."""
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


def report(turns: list[dict[str, float]]) -> None:
    """Medians over the turns, and of the ratios within a turn."""
    for key in turns[0]:
        found = [speeds[key] for speeds in turns]
        line = f"{key:18} {statistics.median(found):8,.0f}   ({', '.join(f'{speed:,.0f}' for speed in found)})"
        shape = SHAPES.get(key.split()[0])
        rival = f"JoeyNMT {shape.joeynmt}" if shape else ""
        if rival in turns[0]:
            ratio = statistics.median(speeds[key] / speeds[rival] for speeds in turns)
            line += f"   {ratio:.1f} times {rival}"
        print(line)


def main() -> None:
    """Print each side's speeds, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joeynmt", type=Path, help="directory with JoeyNMT's setup.sh and run.sh")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=SHAPES, default=list(SHAPES))
    options = parser.parse_args()
    joeynmt: Path | None = options.joeynmt and options.joeynmt.resolve()
    settings = {"data.root": str(joeynmt.parents[1] / "data" / "multi30k")} if joeynmt else EMBEDDED
    if joeynmt:
        subprocess.run(["bash", str(joeynmt / "setup.sh")], check=True, stdout=subprocess.DEVNULL)
    directory = "multi30k" if joeynmt else "numbers"
    print(f"{directory}: target tokens a second of the whole loop; batches of {BATCH_TOKENS:,} tokens")
    for name in options.networks:
        print(f"  {name}: {SHAPES[name].words}")
    if joeynmt:
        print(
            "  JoeyNMT T, A: the same Transformer and GRU with attention, its current state's query and input feeding"
        )
    report([turn(options.networks, settings, directory, joeynmt) for _ in range(options.turns)])


if __name__ == "__main__":
    main()
