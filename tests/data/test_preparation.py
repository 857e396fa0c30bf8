"""A corpus is the same however the work is shared, and wherever it was interrupted."""

import functools
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from s2s.data import prepare
from s2s.data.corpora import corpora_directory, remove_corpus, unfinished_corpora
from s2s.data.corpus import VERIFIED, Corpus
from s2s.data.directories import creation_lock
from s2s.data.filters import selection
from s2s.data.filters.selection import repeated
from s2s.data.preparation import blocks, encoding, engines, plan, reading, records, selecting
from s2s.data.preparation.engines import Dask, Processes
from s2s.data.preparation.plan import Plan
from s2s.errors import ArtefactError, DataError, ResourceError, UsageError
from s2s.io import paths
from s2s.io.paths import remove_tree
from s2s.recipe.data import DataOptions
from s2s.recipe.filters import LengthFilterOptions
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer_training import train_tokenizer

TOKENIZER = TokenizerOptions(vocab_size=50, algorithm="bpe")
WORDS = ["ein", "zwei", "drei", "vier", "und", "one", "two", "three", "four", "and"]


def write_data(directory: Path, count: int) -> DataOptions:
    """Pairs in two files, among them empty, invalid, repeated and long ones; validation is held out."""
    chosen, train = random.Random(count), {"source": [], "target": []}
    pairs = [(" ".join(chosen.choices(WORDS, k=1 + row % 6)), f"and {row % 37}") for row in range(count)]
    pairs[3], pairs[8], pairs[-2] = ("", "x"), ("ein " * 30, "one"), pairs[5]
    directory.mkdir(exist_ok=True)
    for number, part in enumerate((pairs[: count // 3], pairs[count // 3 :])):
        for side, texts in zip(("source", "target"), zip(*part, strict=True), strict=True):
            lines = [text.encode() + b"\n" for text in texts]
            if side == "target":
                lines[::11] = [b"\xff\n"] * len(lines[::11])
            (directory / f"{number}.{side}").write_bytes(b"".join(lines))
            train[side].append(f"{number}.{side}")
    for side in ("source", "target"):
        (directory / f"test.{side}").write_text("ein zwei\n\nvier\n")
    return TypeAdapter(DataOptions).validate_python(
        {
            "root": str(directory),
            "train": train,
            "test": {"source": ["test.source"], "target": ["test.target"]},
            "hold_out_validation": 4,
            "on_invalid": "drop",
            "filters": [{"name": "duplicates", "by": "letters"}, {"name": "length", "max": 20}],
        }
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataOptions:
    """73 pairs, which are ten blocks."""
    monkeypatch.setattr(plan, "BLOCK", 7)
    return write_data(tmp_path / "data", 73)


def contents(corpus: Corpus) -> dict[str, str]:
    """Digests of all files but the one of times."""
    files = [path for path in corpus.path.iterdir() if path.name != VERIFIED]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@functools.cache
def trained() -> bytes:
    """A tokenizer of the words."""
    return train_tokenizer(WORDS * 9, TOKENIZER)


EXPECTED: dict[str, dict[str, str]] = {}


def expected(data: DataOptions, tokenizer: bytes | None) -> dict[str, str]:
    """What preparing alone and uninterrupted gives, computed once; nothing of it stays."""
    made = Plan.make(data, TOKENIZER, tokenizer)
    key = f"{made.key} {made.block}"
    if key not in EXPECTED:
        corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=tokenizer)
        EXPECTED[key] = contents(corpus)
        remove_tree(corpus.path)
    return EXPECTED[key]


def run_shards(data: DataOptions, order: list[int], tokenizer: bytes | None) -> Corpus:
    """Prepare in shards and merges, two rounds; the shards of each in this order, from 0."""
    for _ in range(2):
        for shard in order:
            prepare.prepare_shard(Plan.make(data, TOKENIZER, tokenizer), shard, len(order))
        corpus = prepare.merge_shards(Plan.make(data, TOKENIZER, tokenizer))
    assert corpus
    return corpus


@pytest.mark.parametrize("order", [[0], [1, 0], [2, 0, 1], [4, 6, 1, 0, 5, 3, 2]], ids=len)
def test_shards_give_the_same_corpus_byte_for_byte(data: DataOptions, order: list[int]) -> None:
    alone = expected(data, None)
    corpus = run_shards(data, order, None)
    assert contents(corpus) == alone
    assert len([name for name in alone if name.startswith("train-")]) == 10
    train = corpus.ledger.splits["train"]
    assert train.read == 73
    assert train.dropped["invalid"].count == 8
    assert train.filters[4].dropped.count > 0


def test_shards_of_a_mixture_keep_the_datasets_and_tags(data: DataOptions) -> None:
    sides = {"train": {"source": ["0.source"], "target": ["1.source"]}, "test": data.test.model_dump()}
    (Path(data.root) / "1.source").write_bytes((Path(data.root) / "0.source").read_bytes().upper())
    datasets = [
        {"name": "small", "source_language": "de", "target_language": "en", "tag": "<2en>", **sides},
        {"name": "capital", "source_language": "de", "target_language": "fr", "tag": "<2fr>", **sides},
    ]
    values = {"kind": "mixed", "root": data.root, "datasets": datasets, "hold_out_validation": 3}
    mixed = TypeAdapter(DataOptions).validate_python(values)
    alone = expected(mixed, None)
    corpus = run_shards(mixed, [1, 0, 2], None)
    assert contents(corpus) == alone
    train = corpus.split("train")
    tags = [source.partition(" ")[0] for source in train.texts(range(len(train)))[0]]
    assert tags == [["<2en>", "<2fr>"][number] for number in train.dataset_numbers]
    assert len({*tags}) == 2
    assert corpus.ledger.splits["train"].datasets == {"small": tags.count("<2en>"), "capital": tags.count("<2fr>")}


def test_processes_give_the_same_corpus_and_say_things_once(data: DataOptions, said: list[str]) -> None:
    alone = expected(data, None)
    said.clear()
    corpus = prepare.prepare_corpus(data, TOKENIZER, engine=Processes(2))
    assert contents(corpus) == alone
    assert said.count("reading the training pairs") == 1
    assert said.count("encoding the training pairs: block 5 of 5") == 1


def test_an_error_in_another_process_is_raised_here_and_leaves_nothing(data: DataOptions, own_home: Path) -> None:
    strict = data.model_copy(update={"on_invalid": "refuse"})
    with pytest.raises(DataError, match=r"0\.target:1: invalid UTF-8") as caught:
        prepare.prepare_corpus(strict, TOKENIZER, engine=Processes(2))
    assert "iconv" in str(caught.value.hint)
    assert not [path for path in (own_home / "corpora").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (reading, "write_record", 4),
        (reading, "write_block", 6),
        (selecting, "train_tokenizer", 1),
        (selecting, "write_record", 1),
        (encoding, "write_record", 3),
        (encoding, "split_writer", 9),
        (prepare, "assemble", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_interrupted_continues_and_ends_the_same(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch, said: list[str], module: Any, name: str, call: int
) -> None:
    tokenizer = None if name == "train_tokenizer" else trained()
    alone = expected(data, tokenizer)
    calls, real = [], getattr(module, name)

    def interrupted(*given: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=tokenizer)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=tokenizer)
    assert contents(corpus) == alone
    assert any("continuing the preparation" in text for text in said)
    assert [path.name for path in corpus.path.parent.iterdir() if path.is_dir()] == [corpus.path.name]


def test_blocks_that_were_stored_are_not_stored_again(data: DataOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = []
    real_read, real_encode = reading.write_block, encoding.BlockEncoder.encode

    def write(path: Path, *given: Any) -> None:
        stored.append(path.name)
        real_read(path, *given)

    def encode(self: Any, pool: Any) -> None:
        stored.append(f"{self._number} encoded")
        real_encode(self, pool)
        if self._number == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(reading, "write_block", write)
    monkeypatch.setattr(encoding.BlockEncoder, "encode", encode)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    assert stored == [*(f"{number:05}.arrow" for number in range(10)), *(f"{number} encoded" for number in range(10))]


DAMAGED = ["read/00001.arrow", "read/00002.json", "read/00000.dropped", "totals.json", "status.npy", "tokenizer.model"]
DAMAGED += ["selection.json", "encoded/00001.arrow", "encoded/00002.json", "encoded/00000.npy", "encoded/00001.dropped"]


def flip(path: Path) -> None:
    """Change one bit in the middle of a file; its size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_parts_are_noticed_and_prepared_anew(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch, said: list[str], name: str
) -> None:
    monkeypatch.setattr(plan, "BLOCK", 25)
    alone = expected(data, trained())
    file = interrupted_parts(data, monkeypatch) / name
    file.unlink() if name == "encoded/00000.npy" else flip(file)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    assert contents(corpus) == alone
    assert any(name in text and "starts again" in text for text in said)


def interrupted_parts(data: DataOptions, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Interrupt a preparation when everything is encoded, and return the directory of its parts."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "assemble", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    return Plan.make(data, TOKENIZER, trained()).parts.path


def test_shards_and_merges_that_meet_a_damaged_part_remove_all_parts(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "BLOCK", 25)
    parts = interrupted_parts(data, monkeypatch)
    flip(parts / "encoded" / "00001.arrow")
    made = Plan.make(data, TOKENIZER, trained())
    with pytest.raises(ArtefactError, match=r"unfinished corpus has a part that is damaged") as caught:
        prepare.merge_shards(made)
    assert (caught.value.hint, parts.exists()) == ("start the preparation again", False)
    prepare.prepare_shard(made, 0, 1)
    prepare.merge_shards(made)
    flip(parts / "read" / "00001.arrow")
    with creation_lock(made.directory, shared=True), pytest.raises(ArtefactError, match=r"read/00001.arrow"):
        prepare.prepare_shard(made, 0, 1)
    assert parts.exists()  # another shard is at work
    with pytest.raises(ArtefactError, match=r"read/00001.arrow"):
        prepare.prepare_shard(made, 0, 1)
    assert not parts.exists()


def test_a_removal_that_is_interrupted_leaves_no_parts_to_go_on_with(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = expected(data, trained())
    parts = interrupted_parts(data, monkeypatch)

    def interrupted(directory: Path) -> None:
        (directory / "read" / "00000.arrow").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(paths.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remove_corpus(parts.name[1:7])
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    assert contents(corpus) == alone
    assert directories() == [corpus.path.name]


def directories() -> list[str]:
    return [path.name for path in corpora_directory().iterdir() if path.is_dir()]


def test_parts_of_a_complete_corpus_are_not_unfinished_and_are_removed(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Plan.make(data, TOKENIZER, trained()).parts.path
    real = prepare.remove_directory

    def remove(path: Path, directory: Path) -> None:
        if path == parts:
            raise KeyboardInterrupt
        real(path, directory)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "remove_directory", remove)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    assert parts.exists()
    assert unfinished_corpora() == []
    prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    assert not parts.exists()


def test_shards_work_together_and_nobody_else_beside_them(data: DataOptions) -> None:
    made = Plan.make(data, TOKENIZER, trained())
    with ThreadPoolExecutor(2) as pool:
        with creation_lock(made.directory, shared=True):
            assert pool.submit(prepare.prepare_shard, made, 1, 2).result(30) == "read"
            whole = pool.submit(prepare.prepare_corpus, data, TOKENIZER, tokenizer_model=trained())
            time.sleep(0.3)
            assert not whole.done()
        corpus = whole.result(60)
        remove_corpus(corpus.path.name)
        with creation_lock(made.directory):
            shard = pool.submit(prepare.prepare_shard, made, 1, 2)
            time.sleep(0.3)
            assert not shard.done()
        assert shard.result(30) == "read"
        with creation_lock(made.directory, shared=True), pytest.raises(ResourceError, match="is creating"):
            creation_lock(made.directory, wait=False).__enter__()


def test_blocks_of_an_input_that_was_changed_and_restored_are_read_again(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = expected(data, trained())
    made = Plan.make(data, TOKENIZER, trained())
    file = tmp_path / "data" / "0.source"
    before = file.read_bytes()
    file.write_bytes(before.replace(b"ein", b"kein"))
    calls = iter(range(3))

    def interrupted(*given: Any) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        records.write_record(*given)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "write_record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare_shard(made, 0, 1)
    file.write_bytes(before)
    assert contents(prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())) == alone


def test_a_merge_that_ends_without_pairs_leaves_nothing(data: DataOptions) -> None:
    nothing = data.model_copy(update={"filters": [LengthFilterOptions(name="length", min=90, max=99)]})
    with pytest.raises(DataError, match="all training pairs were dropped"):
        run_shards(nothing, [0, 1], trained())
    assert directories() == []


def test_validation_without_pairs_is_refused_before_train_is_read(
    data: DataOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reading, "write_block", lambda *_: pytest.fail("train was read first"))
    for content, message in ((b"\xff\n" * 3, "test has no pairs"), (b"a\nb\n", "has 3, ")):
        (tmp_path / "data" / "test.target").write_bytes(content)
        with pytest.raises(DataError, match=message):
            prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
        assert directories() == []


def test_a_merge_without_all_shards_says_what_is_missing(data: DataOptions) -> None:
    with pytest.raises(UsageError, match="no shard has been read"):
        prepare.merge_shards(Plan.make(data, TOKENIZER))
    prepare.prepare_shard(Plan.make(data, TOKENIZER), 1, 3)
    with pytest.raises(UsageError, match="7 blocks of pairs are not read yet, the first of them block 1"):
        prepare.merge_shards(Plan.make(data, TOKENIZER))


def test_inputs_that_change_between_shards_are_refused(data: DataOptions, tmp_path: Path) -> None:
    first = Plan.make(data, TOKENIZER)
    prepare.prepare_shard(first, 0, 2)
    write_data(tmp_path / "data", 66)
    with pytest.raises(DataError, match="changed while it was read"):
        prepare.prepare_shard(first, 1, 2)


def test_long_texts_make_smaller_blocks(data: DataOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_CHARACTERS", 60)
    monkeypatch.setattr(reading, "FEW", 1)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    assert len([path for path in corpus.path.iterdir() if path.name.startswith("train-")]) > 12


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(12, 90), st.integers(1, 40), st.integers(1, 4), st.booleans())
def test_counts_of_shards_are_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, block: int, shards: int, chunked: bool
) -> None:
    data = write_data(tmp_path / "data", count)
    monkeypatch.setattr(plan, "BLOCK", 1000)
    monkeypatch.setattr(blocks, "CHUNK", 5 if chunked else 4000)
    corpus = prepare.prepare_corpus(data, TOKENIZER, tokenizer_model=trained())
    ledger = corpus.ledger
    remove_tree(corpus.path)
    monkeypatch.setattr(plan, "BLOCK", block)
    corpus = run_shards(data, [*range(shards)], trained())
    assert corpus.ledger == ledger
    remove_tree(corpus.path)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_repeated_digests_are_found_in_ranges(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(selection, "SORTED", size)
    numbers = np.random.default_rng(1)
    digests = numbers.choice(numbers.integers(0, 2**64, 20, dtype=np.uint64, endpoint=False), 50)
    among = numbers.random(50) < 0.8
    seen: set[int] = set()
    found = []
    for digest, counts in zip(digests.tolist(), among.tolist(), strict=True):
        found.append(counts and digest in seen)
        seen |= {digest} if counts else set()
    assert repeated(digests, among).tolist() == found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a cluster of Dask, and its two workers, of one thread each."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    options = ["--no-dashboard", "--scheduler-file", str(file), "--host", "127.0.0.1"]
    commands = [["scheduler", *options, "--port", "0"], *[["worker", *options, "--nthreads", "1", "--no-nanny"]] * 2]
    started = [
        subprocess.Popen([*dask, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        wait_until(file.exists)
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=60)
            workers = {info["pid"] for info in client.run(worker_process).values()}
        assert workers == {process.pid for process in started[1:]}
        yield address, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def worker_process() -> dict[str, int]:
    return {"pid": os.getpid()}


def wait_until(condition: Callable[[], Any]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError


def test_a_cluster_that_loses_a_worker_gives_the_same_corpus(
    data: DataOptions, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    alone = expected(data, trained())
    address, (lost, _) = cluster
    lost.send_signal(signal.SIGSTOP)
    parts = Plan.make(data, TOKENIZER, trained()).parts
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(prepare.prepare_corpus, data, TOKENIZER, tokenizer_model=trained(), engine=Dask(address))
        wait_until(lambda: len([*(parts.path / "read").glob("*.json")]) == 5)
        assert not prepared.done()
        lost.kill()
        assert contents(prepared.result(60)) == alone


def test_a_cluster_that_cannot_be_reached_is_an_error(data: DataOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "TIMEOUT", 0.5)
    with pytest.raises(ResourceError, match="cannot reach the scheduler"):
        prepare.prepare_corpus(data, TOKENIZER, engine=Dask("tcp://127.0.0.1:9"))
    with pytest.raises(UsageError, match="not the address of a scheduler"):
        prepare.prepare_corpus(data, TOKENIZER, engine=Dask("none://127.0.0.1:9"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ResourceError, match="distributed") as caught:
        prepare.prepare_corpus(data, TOKENIZER, engine=Dask("tcp://127.0.0.1:9"))
    assert "s2s-toolkit[cluster]" in str(caught.value.hint)
