"""Training speed of the whole loop: target tokens a second, in turns with JoeyNMT where its folder is given.

    python tests/bench/training_speed.py                      s2s alone, on embedded data
    python tests/bench/training_speed.py --joeynmt FOLDER     both on Multi30k, which lies beside that folder

FOLDER holds `setup.sh` and `run.sh`, which set JoeyNMT up and train it; `WORK` names where it is kept between runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SHAPE = {
    "model.embedding": 256,
    "model.encoder.width": 256,
    "model.decoder.width": 512,
    "model.dropout": 0.2,
    "training.batch_tokens": 4096,
    "training.validation_lines": 0,
    "decoding.beam": 1,
    "decoding.max_ratio": 0.1,
}
EMBEDDED = {"tokenizer.vocabulary": 1000}
LOGGED = 50  # updates between two figures of s2s; JoeyNMT's are 10 apart


def s2s_speed(recipe: str, settings: dict[str, object], updates: int) -> float:
    """Median target tokens a second of the recipe in the benchmark's shape."""
    limit = {"training.limit": f"{updates} updates", "training.validate_every": f"{updates} updates"}
    values = [part for key, value in {**SHAPE, **settings, **limit}.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"S2S_HOME": folder, "S2S_LEASES": f"{folder}/leases"}
        subprocess.run(
            [sys.executable, "-m", "s2s", "train", recipe, *values], env=environment, check=True, capture_output=True
        )
        (metrics,) = Path(folder).glob("runs/*/metrics.jsonl")
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return statistics.median(row["tokens_per_second"] for row in rows if row["kind"] == "training")


def joeynmt_speed(folder: Path, updates: int) -> float:
    """Median target tokens a second that JoeyNMT logs: bidirectional GRU 256, GRU 512, additive attention (shape A)."""
    done = subprocess.run(["bash", folder / "run.sh", "A", str(updates)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print each side's speeds, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joeynmt", type=Path, help="folder with JoeyNMT's setup.sh and run.sh")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    joeynmt: Path | None = options.joeynmt and options.joeynmt.resolve()
    recipes = {name: f"{'multi30k' if joeynmt else 'numbers'}/{name}" for name in ("attention", "bottleneck")}
    settings = {"data.root": str(joeynmt.parents[1] / "data" / "multi30k")} if joeynmt else EMBEDDED
    if joeynmt:
        subprocess.run(["bash", joeynmt / "setup.sh"], check=True, stdout=subprocess.DEVNULL)
    speeds: dict[str, list[float]] = {name: [] for name in (*recipes, *(["JoeyNMT"] if joeynmt else []))}
    for _ in range(options.turns):
        for name, recipe in recipes.items():
            speeds[name].append(s2s_speed(recipe, settings, 2 * LOGGED))
        if joeynmt:
            speeds["JoeyNMT"].append(joeynmt_speed(joeynmt, 30))
    print("GRU 256 a direction / 512, batches of 4,096 tokens, dropout 0.2, target tokens a second, the whole loop")
    for name, found in speeds.items():
        line = f"{name:12} {statistics.median(found):8,.0f}   ({', '.join(f'{speed:,.0f}' for speed in found)})"
        if joeynmt and name != "JoeyNMT":
            ratio = statistics.median(ours / theirs for ours, theirs in zip(found, speeds["JoeyNMT"], strict=True))
            line += f"   {ratio:.1f} times JoeyNMT with attention"
        print(line)


if __name__ == "__main__":
    main()
