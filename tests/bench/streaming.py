"""Many lines through a pipe: as many come out, in order; memory is flat; a line's translation is what it is alone.

    python tests/bench/streaming.py                      200,000 lines
    python tests/bench/streaming.py --count 1000000      a million

Ends with exit code 1 where one of these does not hold.
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
MEMORY, FLAT = 1.5 * 2**30, 1.10  # bytes; peak of many lines over that of FEW
NEAR = 0.2  # nats; rounding in int8 may choose either


def source(count: int) -> subprocess.Popen[bytes]:
    """Made numbers, a line each."""
    make = [*S2S, "data", "make", "numbers", "--source-only", "--count", str(count), "--seed", "7"]
    return subprocess.Popen(make, stdout=subprocess.PIPE)


def stream(count: int, output: Path) -> int:
    """Translate so many lines from a pipe; the peak of memory in bytes.

    The system counts what this process had when it started the other one, so nothing large is imported before.
    """
    begun = time.perf_counter()
    with source(count) as made, output.open("wb") as file:
        child = subprocess.Popen([*S2S, "translate", MODEL, "--beam-size", "1"], stdin=made.stdout, stdout=file)
        _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    peak, seconds = usage.ru_maxrss * 1024, time.perf_counter() - begun
    print(f"{count:,} lines: {seconds:,.0f} s, {count / seconds:,.0f} lines/s, peak {peak / 2**20:,.0f} MiB")
    return peak


def differing(sources: list[str], outputs: list[str]) -> list[tuple[str, str, str]]:
    """Of a sample of lines, those that alone become something else: source, output, output alone."""
    from s2s.decoding.loading import TranslatorConfig, loaded_translator

    chosen = random.Random(1).sample(range(len(sources)), SAMPLE)
    with loaded_translator(TranslatorConfig([MODEL], "bench", decoding={"beam_size": 1})) as translator:
        alone = {number: translator.translate([sources[number]])[0].text for number in chosen}
    return [(sources[n], outputs[n], text) for n, text in alone.items() if text != outputs[n]]


def is_near_tie(source: str, one: str, other: str) -> bool:
    """Whether, where two translations part, the model finds their tokens about as probable."""
    from s2s.decoding.loading import loaded_reference
    from s2s.decoding.scoring import score_lines

    with loaded_reference(MODEL, "cpu", True, "bench") as translator:
        scored = score_lines(translator, [source, source], [one, other])
    pairs = zip(*(zip(line.tokens, line.log_probabilities, strict=True) for line in scored), strict=False)
    gap = next(abs(p - q) for (token, p), (beside, q) in pairs if token != beside)
    print(f"  {source!r}: {one!r}, alone {other!r}: {gap:.3f} nats between the tokens that part them")
    return gap < NEAR


def main() -> int:
    """Print what was found; 1 where something does not hold."""
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
    print(
        f"{len(outputs):,} lines out; of {SAMPLE:,}, {len(other)} differ from what they become alone, {near} near-ties"
    )
    print(f"peak memory {many / few:.2f} times that of {FEW:,} lines")
    holds = len(outputs) == options.count and near == len(other) and many < MEMORY and many <= FLAT * few
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
