"""Prepare a large corpus: pairs per second against SentencePiece alone, memory per pair, the cost of each filter.

    python tests/bench/data.py                       5 million pairs
    python tests/bench/data.py --pairs 500000

SentencePiece alone trains a tokenizer on a sample of as many texts as s2s does, and encodes both sides of all pairs,
with as many threads as there are processors. s2s prepares the same files without filters, in as many processes. The
files take 700 MB for 5 million pairs, what is prepared 6 GB. Exits with code 1 if a check fails.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from s2s.text.tokenizer_training import MAX_TEXTS

if TYPE_CHECKING:
    from s2s.recipe.data import DataOptions

VOCABULARY = 8000
WORDS = 40_000
MAX_MEMORY, MAX_BYTES, MIN_RATIO, MAX_SECONDS = 2 * 2**30, 40, 0.7, 2.0  # bytes, bytes per pair, speed, to open
SAMPLE = 20_000  # pairs that filters are timed on
RECIPE = """
schema = 5
name = "bench-data"
[data]
train = {{ source = "source.txt", target = "target.txt" }}
source_language = "de"
target_language = "en"
filter_preset = "none"
hold_out_validation = 1000
hold_out_test = 1000
[tokenizer]
vocab_size = {vocabulary}
"""
ALONE = """
import io, itertools, sentencepiece, sys
def texts():
    with open("source.txt") as source, open("target.txt") as target:
        for pair in zip(source, target): yield from (text.rstrip("\\n") for text in pair)
model = io.BytesIO()
options = {"normalization_rule_name": "identity", "byte_fallback": True, "minloglevel": 2, "num_threads": 1}
sentencepiece.SentencePieceTrainer.train(
    input=["source.txt", "target.txt"], input_sentence_size=int(sys.argv[3]), shuffle_input_sentence=True,
    model_writer=model, vocab_size=int(sys.argv[1]), **options
)
tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
every = texts()
while chunk := list(itertools.islice(every, 100_000)): tokenizer.encode(chunk, num_threads=int(sys.argv[2]))
"""
PREPARE = """
import json, sys, time
from s2s.data.preparation.engines import Processes
from s2s.data.prepare import prepare_corpus
from s2s.recipe.load import load_recipe
if __name__ == "__main__":
    recipe = load_recipe("recipe.toml")
    started = time.perf_counter()
    path = str(prepare_corpus(recipe.data, recipe.tokenizer, engine=Processes(int(sys.argv[1]))).path)
    print(json.dumps([time.perf_counter() - started, path]))
"""
OPEN = """
import sys, time
from pathlib import Path
started = time.perf_counter()
from s2s.data.corpus import Corpus
train = Corpus.open(Path(sys.argv[1])).split("train")
sources, targets = train.encoded(range(0, len(train), len(train) // 64))
print(time.perf_counter() - started)
"""


def write_pairs(directory: Path, count: int) -> None:
    """Write pairs of 3 to 20 invented words, some of which are frequent."""
    drawn = random.Random(1)
    letters = "eeeaaoiunnrrsstthdlmcgkbpwfzvyäöü"
    source, target = (["".join(drawn.choices(letters, k=drawn.randint(2, 10))) for _ in range(WORDS)] for _ in range(2))
    with (directory / "source.txt").open("w") as sources, (directory / "target.txt").open("w") as targets:
        for _ in range(count):
            words = [int(WORDS * drawn.random() ** 4) for _ in range(drawn.randint(3, 20))]
            sources.write(" ".join(source[word] for word in words) + ".\n")
            targets.write(" ".join(target[word] for word in words) + ".\n")
    (directory / "recipe.toml").write_text(RECIPE.format(vocabulary=VOCABULARY))


def run(code: str, directory: Path, *arguments: str) -> str:
    """Run Python code in a directory and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout


def prepare(directory: Path, processes: int) -> tuple[float, int, str]:
    """Prepare the corpus of a directory; return the seconds, the peak memory in bytes and the path."""
    (directory / "prepare.py").write_text(PREPARE)
    command = [sys.executable, "prepare.py", str(processes)]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(0.2)
        assert process.stdout
        seconds, path = json.loads(process.stdout.read())
    return seconds, peak, path


def memory_of(process: int) -> int:
    """Return the bytes that a process and those it started take; pages that several share count once."""
    total = 0
    with contextlib.suppress(OSError):  # it has ended
        rows = dict(line.split(":") for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
        total = 1024 * int(rows["Pss"].split()[0])
        for task in Path(f"/proc/{process}/task").iterdir():
            total += sum(map(memory_of, map(int, (task / "children").read_text().split())))
    return total


def time_filters(directory: Path) -> None:
    """Print the microseconds that each filter on text takes for a pair."""
    from s2s.data.filters.text import text_filter
    from s2s.data.readers import read_split
    from s2s.recipe.filters import FILTERS
    from s2s.recipe.load import load_recipe

    data: DataOptions = load_recipe(str(directory / "recipe.toml")).data
    pairs = list(itertools.islice(read_split(data, "train"), SAMPLE))
    for name, options in FILTERS.items():
        unit = {"unit": "characters"} if "unit" in options.model_fields else {}
        drops = text_filter(options.model_validate({"name": name, **unit}), data)
        if drops is None:
            continue
        drops(pairs[0].source, pairs[0].target)  # loads what it needs
        started = time.perf_counter()
        for pair in pairs:
            drops(pair.source, pair.target)
        print(f"  {name:<13} {1e6 * (time.perf_counter() - started) / len(pairs):6.1f} µs a pair")


def main() -> int:
    """Print the figures; return 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    count = parser.parse_args().pairs
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["S2S_HOME"] = f"{temporary}/home"
        few, many = Path(temporary, "few"), Path(temporary, "many")
        for directory, number in ((few, count // 5), (many, count)):
            directory.mkdir()
            write_pairs(directory, number)
        started = time.perf_counter()
        run(ALONE, many, str(VOCABULARY), str(threads), str(MAX_TEXTS))
        alone = time.perf_counter() - started
        _, little, _ = prepare(few, threads)
        seconds, peak, corpus = prepare(many, threads)
        opening = float(run(OPEN, many, corpus))
        ratio, growth = alone / seconds, (peak - little) / (count - count // 5)
        print(f"{count:,} pairs, {threads} processes")
        print(f"  SentencePiece alone {count / alone:,.0f} pairs/s, s2s {count / seconds:,.0f} pairs/s")
        print(f"  ratio {ratio:.2f} (at least {MIN_RATIO})")
        print(f"  peak memory {peak / 2**20:,.0f} MiB (at most {MAX_MEMORY >> 20:,}),", end=" ")
        print(f"{growth:.1f} bytes a pair (at most {MAX_BYTES})")
        print(f"  opening and first pairs {opening:.2f} s (at most {MAX_SECONDS:g})")
        time_filters(few)
    passed = ratio >= MIN_RATIO and peak <= MAX_MEMORY and growth <= MAX_BYTES and opening <= MAX_SECONDS
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
