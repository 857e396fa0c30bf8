"""Translate many lines through a pipe: check line count and order, constant memory, and that batching changes nothing.

    python tests/bench/streaming.py                      200,000 lines
    python tests/bench/streaming.py --count 1000000      a million

Exits with code 1 if a check fails.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

S2S = [sys.executable, "-m", "s2s"]
MODEL, FEW, SAMPLE = "numbers-transformer", 50_000, 1_000
MEMORY, FLAT = 1.5 * 2**30, 1.10  # bytes; allowed ratio of the peak for many lines to that for FEW
NEAR = 0.2  # nats; int8 rounding may choose either


def source(count: int) -> subprocess.Popen[bytes]:
    """Generate numbers, one per line."""
    make = [*S2S, "data", "make", "numbers", "--source-only", "--count", str(count), "--seed", "7"]
    return subprocess.Popen(make, stdout=subprocess.PIPE)


def stream(count: int, output: Path) -> int:
    """Translate this many lines from a pipe; return the peak memory in bytes.

    A child's peak includes the memory of this process when it forks, so nothing large is imported before.
    """
    started = time.perf_counter()
    with source(count) as made, output.open("wb") as file:
        child = subprocess.Popen([*S2S, "translate", MODEL, "--beam-size", "1"], stdin=made.stdout, stdout=file)
        _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    peak, seconds = usage.ru_maxrss * 1024, time.perf_counter() - started
    print(f"{count:,} lines: {seconds:,.0f} s, {count / seconds:,.0f} lines/s, peak {peak / 2**20:,.0f} MiB")
    return peak


def differing(sources: list[str], outputs: list[str]) -> list[tuple[str, str, str]]:
    """Return the lines of a sample whose translation differs when translated alone: source, output, output alone."""
    from s2s.decoding.config import TranslatorConfig
    from s2s.decoding.loading import load_translator

    chosen = random.Random(1).sample(range(len(sources)), SAMPLE)
    with load_translator(TranslatorConfig([MODEL], "bench", decoding={"beam_size": 1})) as translator:
        alone = {number: translator.translate([sources[number]])[0].text for number in chosen}
    return [(sources[n], outputs[n], text) for n, text in alone.items() if text != outputs[n]]


def is_near_tie(source: str, one: str, other: str) -> bool:
    """Return whether the first differing tokens of two translations are about equally probable."""
    import torch

    from s2s.decoding.loading import reference_translator
    from s2s.decoding.scoring import score_lines
    from s2s.registry.store import Registry

    translator = reference_translator(Registry.default().resolve(MODEL), torch.device("cpu"))
    scored = score_lines(translator, [source, source], [one, other])
    pairs = zip(*(zip(line.tokens, line.log_probabilities, strict=True) for line in scored), strict=False)
    gap = next(abs(p - q) for (token, p), (beside, q) in pairs if token != beside)
    print(f"  {source!r}: {one!r}, alone {other!r}: {gap:.3f} nats between the first differing tokens")
    return gap < NEAR


def main() -> int:
    """Print the results; return 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    os.environ.setdefault("S2S_HOME", str(directory / "home"))
    subprocess.run([*S2S, "train", "numbers/transformer"], check=True, stdout=subprocess.DEVNULL)
    few, many = stream(FEW, directory / "few"), stream(options.count, directory / "many")
    with source(options.count) as made:
        assert made.stdout
        sources = made.stdout.read().decode().splitlines()
    outputs = (directory / "many").read_text().splitlines()
    other = differing(sources, outputs)
    near = sum(is_near_tie(*lines) for lines in other)
    print(f"{len(outputs):,} lines out; {len(other)} of {SAMPLE:,} differ when translated alone, {near} are near-ties")
    print(f"peak memory {many / few:.2f} times that of {FEW:,} lines")
    holds = len(outputs) == options.count and near == len(other) and many < MEMORY and many <= FLAT * few
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
