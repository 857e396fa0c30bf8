"""Measure decoding speed, text to text after loading: s2s alternating with tuned CTranslate2 and with JoeyNMT.

    python tests/bench/decoding_speed.py                      s2s and CTranslate2, on built-in data
    python tests/bench/decoding_speed.py --joeynmt DIRECTORY  all three on Multi30k, from ../../data/multi30k

DIRECTORY contains `setup.sh`, `run.sh` and `decode.sh`, which install, train and run JoeyNMT; `WORK` is where they keep
its models between runs. Those of s2s are kept in `S2S_HOME`.
"""

import argparse
import gzip
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from s2s.decoding.config import TranslatorConfig
from s2s.decoding.ctranslate2_engine import CTranslate2Engine
from s2s.decoding.loading import load_translator
from s2s.decoding.streaming import StreamOptions, translate_files
from s2s.decoding.translator import Translator
from s2s.devices.runtime import usable_threads
from s2s.registry.store import Registry

REPEATS = 10  # of the test set for the fastest engine, to measure long enough
JOEYNMT_UPDATES = 500
BATCHES = (16, 32, 64, 128)  # sentences; batch sizes to try with CTranslate2


@dataclass(frozen=True, slots=True)
class Timing:
    """The time of a translation."""

    seconds: float
    lines: int
    words: int

    @property
    def speed(self) -> float:
        """Words per second."""
        return self.words / self.seconds

    @property
    def length(self) -> float:
        """Words per line."""
        return self.words / self.lines


def translated(translator: Translator[Any], source: Path) -> Timing:
    """Translate a file with `translate_files`, as `s2s translate` does."""
    words = 0

    def write(lines: Any) -> None:
        nonlocal words
        words += sum(len(line.translations[0].text.encode().split()) for line in lines)

    started = time.perf_counter()
    counts = translate_files(translator, [str(source)], write, StreamOptions())
    return Timing(time.perf_counter() - started, counts.lines, words)


def tuned_ctranslate2(
    engine: CTranslate2Engine, directory: Path, tokens: list[list[str]], options: dict[str, Any]
) -> Callable[[Sequence[list[str]]], float]:
    """Return a function that times `translate_batch`, tokens to tokens, with the fastest threads and batch size."""
    import ctranslate2

    def timed(translator: Any, batch: int, given: Sequence[list[str]]) -> float:
        started = time.perf_counter()
        translator.translate_batch(given, max_batch_size=batch, **options)
        return time.perf_counter() - started

    found = []
    for inter, intra in {(1, usable_threads()), (usable_threads(), 1)}:
        translator = ctranslate2.Translator(
            str(directory), compute_type="int8", inter_threads=inter, intra_threads=intra
        )
        translator.translate_batch(tokens[:50], **options)
        for batch in BATCHES:
            seconds = timed(translator, batch, tokens)
            print(f"  CTranslate2, {inter} x {intra} threads, batches of {batch}: {seconds:.2f} s", file=sys.stderr)
            found.append((seconds, batch, inter, translator))
    _, batch, _, translator = min(found, key=lambda one: one[:3])
    return lambda given: timed(translator, batch, given)


def joeynmt(directory: Path, shape: str) -> Timing:
    """Return the generation time that JoeyNMT reports."""
    work = Path(os.environ["WORK"])
    if not list((work / f"joey_{shape}").glob("best.ckpt")):
        subprocess.run(
            ["bash", str(directory / "run.sh"), shape, str(JOEYNMT_UPDATES)], check=True, stdout=subprocess.DEVNULL
        )
    done = subprocess.run(["bash", str(directory / "decode.sh"), shape], check=True, capture_output=True, text=True)
    found = re.match(r"([0-9.]+) s, ([0-9.]+) words", done.stdout)
    assert found, done.stdout
    lines = len((work / f"joey_{shape}.out.test").read_text().splitlines())
    return Timing(float(found[1]), lines, round(float(found[2]) * lines))


def train(recipe: str, *settings: str) -> None:
    """Train a recipe in a separate process, unless its model exists."""
    if recipe.replace("/", "-") in Registry.default().names():
        return
    values = [part for setting in settings for part in ("--set", setting)]
    subprocess.run([sys.executable, "-m", "s2s", "train", recipe, *values], check=True, stdout=subprocess.DEVNULL)


def show(name: str, timings: list[Timing], baseline: list[Timing] | None = None, rival: str = "") -> None:
    """Print median speed and length, and the median of the ratios within a repetition."""
    speed = statistics.median(t.speed for t in timings)
    line = f"{name:36} {speed:8,.0f} words/s  {timings[0].length:5.1f} words per line"
    if baseline:
        ratio = statistics.median(t.speed / other.speed for t, other in zip(timings, baseline, strict=True))
        line += f"   {ratio:.2f} × {rival}"
    print(line)


def main() -> None:
    """Print the speeds of each side, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joeynmt", type=Path, help="directory with JoeyNMT's setup.sh, run.sh and decode.sh")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    rival: Path | None = options.joeynmt and options.joeynmt.resolve()
    directory = Path(tempfile.mkdtemp())
    os.environ.setdefault("S2S_HOME", str(directory / "home"))
    if rival:
        subprocess.run(["bash", str(rival / "setup.sh")], check=True, stdout=subprocess.DEVNULL)
        data = rival.parents[1] / "data" / "multi30k"
        train("multi30k/transformer", f"data.root={data}", "training.stop_after=5 epochs")
        train("multi30k/attention", f"data.root={data}", "training.stop_after=3 epochs")
        lines = gzip.decompress((data / "test_2016_flickr.de.gz").read_bytes())
        reference = gzip.decompress((data / "test_2016_flickr.en.gz").read_bytes())
        print(f"references: {len(reference.split()) / len(reference.splitlines()):.1f} words per line")
    else:
        train("numbers/transformer")
        made = [
            sys.executable,
            "-m",
            "s2s",
            "data",
            "make",
            "numbers",
            "--source-only",
            "--count",
            "1000",
            "--seed",
            "7",
        ]
        lines = subprocess.run(made, check=True, capture_output=True).stdout
    once, often = directory / "once", directory / "often"
    once.write_bytes(lines)
    often.write_bytes(lines * REPEATS)
    measure("multi30k" if rival else "numbers", once, often, rival, options.repetitions)


def measure(name: str, once: Path, often: Path, rival: Path | None, repetitions: int) -> None:
    """Measure all sides, alternating; the fastest engine on a longer file, so that its time is long enough."""
    from s2s.decoding.ctranslate2_conversion import cached_conversion

    transformer, changes = f"{name}-transformer", {"beam_size": 5}
    found: dict[str, list[Timing]] = {}
    with (
        load_translator(TranslatorConfig([transformer], "bench", "ctranslate2", decoding=changes)) as fast,
        load_translator(
            TranslatorConfig([transformer], "bench", "pytorch", decoding=changes, device="cpu", wait=inf)
        ) as slow,
    ):
        assert isinstance(fast.engine, CTranslate2Engine)
        tokens = [fast.tokenizer.tokens(ids) for ids in fast.encode(once.read_text().splitlines())]
        same = {
            "beam_size": 5,
            "patience": fast.recipe.decoding.patience,
            "max_decoding_length": 256,
            "max_input_length": 0,
        }
        tuned = tuned_ctranslate2(
            fast.engine, cached_conversion(Registry.default().resolve(transformer), "int8"), tokens, same
        )
        sides: dict[str, Callable[[], Timing]] = {
            "s2s, CTranslate2 int8": lambda: translated(fast, often),
            "s2s, CTranslate2 int8, once": lambda: translated(fast, once),
            f"s2s, {slow.engine.describe()}": lambda: translated(slow, once),
        }
        if rival:
            sides["JoeyNMT, Transformer"] = lambda: joeynmt(rival, "T")
        for _ in range(repetitions):
            for side, timed in sides.items():
                found.setdefault(side, []).append(timed())
            words = found["s2s, CTranslate2 int8"][-1].words
            found.setdefault("CTranslate2, tuned", []).append(
                Timing(tuned(tokens * REPEATS), len(tokens) * REPEATS, words)
            )
    if rival:
        with load_translator(TranslatorConfig([f"{name}-attention"], "bench", decoding=changes)) as recurrent:
            for _ in range(repetitions):
                found.setdefault("s2s, GRU with attention", []).append(translated(recurrent, once))
                found.setdefault("JoeyNMT, GRU with attention", []).append(joeynmt(rival, "A"))
    report(found)


def report(found: dict[str, list[Timing]]) -> None:
    """Print each side with its ratio to the one it is compared with."""
    against = {
        "s2s, CTranslate2 int8": "CTranslate2, tuned",
        "s2s, CTranslate2 int8, once": "JoeyNMT, Transformer",
        "s2s, PyTorch, fp32": "JoeyNMT, Transformer",
        "s2s, PyTorch, bf16": "JoeyNMT, Transformer",
        "s2s, GRU with attention": "JoeyNMT, GRU with attention",
    }
    for name, timings in found.items():
        rival = against.get(name, "")
        show(name, timings, found.get(rival), rival)


if __name__ == "__main__":
    main()
