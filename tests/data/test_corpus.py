import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from s2s.data.corpus import (
    DROPPED,
    MANIFEST,
    SCHEMA,
    VERIFIED,
    Corpus,
    _state,
    read_verified,
    write_corpus_files,
    write_verified,
)
from s2s.data.dropped import dropped_pairs
from s2s.data.ledger import Ledger, LengthSummary, SideLengths, SplitLedger, SplitLengths, TokenizerLedger
from s2s.data.lookup import find_pair
from s2s.data.preparation.blocks import as_batch
from s2s.data.readers import Pair
from s2s.data.split import Split
from s2s.data.split_writer import EncodedPairs, split_writer
from s2s.errors import ArtefactError, UsageError
from s2s.text.fertility import Fertility
from s2s.text.tokenizer import Tokenizer

# source tokens, target tokens, source, target, line, file
ROWS = [
    ([5, 6, 7], [8], "drei", "one", 1, "a.de"),
    ([], [9, 10], "", "zwei", 2, "a.de"),
    ([11], [], "ein\u2028s", "", 3, "a.de"),
    ([12, 13, 14, 15], [16, 17, 18], "vier", "drei", 1, "b.de"),
    ([19], [20], "ø", "→", 2, "b.de"),
]
FILES = ["a.de", "b.de"]


def encoded(rows: list[tuple]) -> EncodedPairs:
    pairs = [Pair(*texts, line, file) for _, _, *texts, line, file in rows]
    texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
    tokens = [row[0] for row in rows], [row[1] for row in rows]
    return EncodedPairs.of(as_batch(pairs), *texts, tokens, {file: number for number, file in enumerate(FILES)})


def store(directory: Path, chunk: int) -> Corpus:
    """A corpus of ROWS in each split, written `chunk` pairs at a time."""
    with dropped_pairs(directory / DROPPED, []):
        pass
    shards = {"train-00000": ROWS[:3], "train-00001": [], "train-00002": ROWS[3:]}
    for name, pairs in {**shards, "validation": ROWS, "test": ROWS}.items():
        with split_writer(directory / f"{name}.arrow", chunk) as writer:
            for start in range(0, len(pairs), chunk):
                rows = pairs[start : start + chunk]
                writer.write(encoded(rows))
    lengths = SplitLengths(*[SideLengths(*[LengthSummary.of(np.ones(len(ROWS)))] * 2)] * 2)
    fertility = {side: Fertility(0, 0, 0, 0, 0, {}) for side in ("source", "target")}
    splits = {
        name: SplitLedger(len(ROWS), len(ROWS), FILES, {}, lengths, fertility, dropped={})
        for name in ("train", "validation", "test")
    }
    ledger = Ledger(2, {"train": {}}, TokenizerLedger(21, "", given=False), splits)
    write_corpus_files(directory, "ab" * 32, b"a tokenizer", ledger)
    return Corpus.open(directory)


@pytest.fixture(params=[1, 2, 3, 9], ids="{} pairs a chunk".format)
def split(request: pytest.FixtureRequest, tmp_path: Path) -> Split:
    return store(tmp_path, request.param).split("train")


def test_rows_come_back_as_they_were_written(split: Split):
    assert len(split) == 5
    rows = [4, 0, 3, 3, 1, 2]
    sources, targets = split.encoded(rows)
    assert [ids.tolist() for ids in sources] == [ROWS[row][0] for row in rows]
    assert [ids.tolist() for ids in targets] == [ROWS[row][1] for row in rows]
    assert split.texts(rows) == ([ROWS[row][2] for row in rows], [ROWS[row][3] for row in rows])
    assert split.lines(rows) == [2, 1, 1, 1, 2, 3]
    assert split.places([3, 1]) == ["b.de:1", "a.de:2"]


def test_lengths_are_those_of_the_tokens(split: Split):
    assert split.source_lengths.tolist() == [3, 0, 1, 4, 1]
    assert split.target_lengths.tolist() == [1, 2, 0, 3, 1]
    assert split.source_lengths.dtype == np.int32


def test_rows_may_be_an_array_or_none_at_all(split: Split):
    assert split.texts(np.array([2, 0]))[1] == ["", "one"]
    assert split.encoded([]) == ([], [])


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_out_of_range_is_refused(split: Split, row: int):
    with pytest.raises(IndexError, match="0 … 4"):
        split.encoded([0, row])


def test_tokens_are_views_of_the_mapped_file(tmp_path: Path):
    sources, _ = store(tmp_path, 2).split("test").encoded([0, 3])
    assert not any(ids.flags.owndata or ids.flags.writeable for ids in sources)
    assert sources[0].dtype == np.int32


def test_datasets_opens_the_files_too(tmp_path: Path):
    from s2s.data.readers.tables import datasets_library

    store(tmp_path, 2)
    rows = datasets_library().Dataset.from_file(str(tmp_path / "test.arrow"))
    assert rows[3]["source"] == [12, 13, 14, 15]
    assert rows["line"][:] == [1, 2, 3, 1, 2]


def test_an_open_corpus_has_its_key_tokenizer_and_ledger(tmp_path: Path):
    corpus = store(tmp_path, 2)
    assert corpus.digest == "ab" * 32
    assert corpus.tokenizer == b"a tokenizer"
    assert corpus.ledger.as_dict()["splits"]["test"]["files"] == FILES
    assert corpus.split("test") is corpus.split("test")


def test_a_directory_without_a_corpus_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError):
        Corpus.open(tmp_path)


@pytest.mark.parametrize("name", ["train-00002.arrow", "test.arrow", "tokenizer.model", "ledger.json"])
def test_a_missing_or_shortened_file_is_found_on_opening(tmp_path: Path, name: str):
    store(tmp_path, 2)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match=name):
        Corpus.open(tmp_path)
    path.unlink()
    with pytest.raises(ArtefactError, match=f"{name}: it is missing"):
        Corpus.open(tmp_path)


def test_a_file_removed_since_is_found_when_it_is_needed(tmp_path: Path):
    corpus = store(tmp_path, 2)
    assert len(corpus.split("train")) == len(ROWS)
    (tmp_path / "test.arrow").unlink()
    with pytest.raises(ArtefactError, match=r"test\.arrow: it is missing"):
        corpus.split("test")


def test_changed_bytes_are_found_by_verify(tmp_path: Path):
    corpus = store(tmp_path, 2)
    corpus.verify()
    change_a_byte(tmp_path / "validation.arrow")
    with pytest.raises(ArtefactError, match=r"validation\.arrow"):
        Corpus.open(tmp_path).verify()


@pytest.mark.parametrize("name", ["tokenizer.model", "ledger.json"])
def test_changed_bytes_of_the_small_files_are_found_on_opening(tmp_path: Path, name: str):
    store(tmp_path, 2)
    change_a_byte(tmp_path / name)
    with pytest.raises(ArtefactError, match=name):
        Corpus.open(tmp_path)


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA + 1}, f"schema {SCHEMA + 1} is newer"),
        ({"schema": 1}, "older than this s2s reads; prepare it anew"),
        ({"schema": None}, "schema: not an integer"),
        ({"files": 3}, "files: input should be a valid dictionary"),
        ({"files": {"train-00000.arrow": 3}}, r"files\.train-00000\.arrow: input should be a dictionary"),
        ({"key": None}, "key: input should be a valid string"),
        ({"files": {}}, r"does not list train-00000\.arrow"),
    ],
)
def test_a_manifest_that_is_newer_or_wrong_is_refused(tmp_path: Path, change: dict, message: str):
    store(tmp_path, 2)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(ArtefactError, match=message):
        Corpus.open(tmp_path)


def test_a_split_that_fails_while_it_is_written_leaves_no_file(tmp_path: Path):
    with pytest.raises(KeyError), split_writer(tmp_path / "train-00000.arrow") as writer:
        writer.write(encoded([*ROWS[:2], ([5], [6], "fünf", "five", 1, "of no known file")]))
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_names_a_file_elsewhere_is_refused(tmp_path: Path):
    directory = tmp_path / "corpus"
    store(directory, 2)
    (tmp_path / "elsewhere").write_bytes(b"x")
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["files"]["../elsewhere"] = {"sha256": "", "bytes": 1}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=r"it lists '\.\./elsewhere'"):
        Corpus.open(directory)


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "train-1.arrow"], ids=["NUL", "long", "unknown"])
def test_a_manifest_that_lists_other_files_is_refused(tmp_path: Path, name: str):
    store(tmp_path, 2)
    values = json.loads((tmp_path / MANIFEST).read_text())
    values["files"][name] = values["files"]["test.arrow"]
    (tmp_path / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match=r"manifest\.json: it lists '") as caught:
        Corpus.open(tmp_path)
    assert len(caught.value.message) < 400


def test_a_copy_is_verified_whatever_it_says_of_itself(tmp_path: Path):
    (tmp_path / "first").mkdir()
    store(tmp_path / "first", 2)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    change_a_byte(tmp_path / "copy" / "test.arrow")
    for name in read_verified(tmp_path / "first"):  # tar and rsync keep the times, too
        status = (tmp_path / "first" / name).stat()
        os.utime(tmp_path / "copy" / name, ns=(status.st_mtime_ns, status.st_mtime_ns))
    with pytest.raises(ArtefactError, match="its content has changed"):
        Corpus.open(tmp_path / "copy").split("test")


def test_a_split_that_cannot_be_mapped_is_damaged_even_if_it_was_verified(tmp_path: Path):
    store(tmp_path, 2)
    (tmp_path / "test.arrow").write_bytes(bytes((tmp_path / "test.arrow").stat().st_size))
    write_verified(tmp_path, {name: _state(tmp_path / name) for name in read_verified(tmp_path)})
    with pytest.raises(ArtefactError, match=r"test\.arrow: not the Arrow stream of a split"):
        Corpus.open(tmp_path).split("test")


@pytest.mark.parametrize("content", ["{", "null", '{"test.arrow": ["a"]}', '{"other": [1]}', None], ids=str)
def test_a_damaged_memory_of_what_was_verified_is_ignored(tmp_path: Path, content: str | None):
    store(tmp_path, 2)
    (tmp_path / VERIFIED).unlink()
    if content is None:
        (tmp_path / VERIFIED).mkdir()
    else:
        (tmp_path / VERIFIED).write_text(content)
    assert len(Corpus.open(tmp_path).split("test")) == 5
    change_a_byte(tmp_path / "test.arrow")
    with pytest.raises(ArtefactError, match="its content has changed"):
        Corpus.open(tmp_path).split("test")


def test_the_frozen_corpus_is_read(tmp_path: Path):
    corpus = Corpus.open(shutil.copytree(Path(__file__).parent / "frozen" / "corpus-5", tmp_path / "corpus"))
    corpus.verify()
    train, test = corpus.split("train"), corpus.split("test")
    assert train.texts([0, 2]) == (["ein Hund", "drei Katzen"], ["a dog", "three cats"])
    assert train.places([2]) == ["train.de:5"]
    tokenizer = Tokenizer(corpus.tokenizer)
    sources, targets = train.encoded([1])
    assert tokenizer.decode([*sources, *targets]) == ["zwei Hunde", "two dogs"]
    assert (len(test), test.source_lengths[1]) == (2, 0)
    assert corpus.ledger.splits["train"].filters[0].dropped.examples[0].line == "train.de:4"
    assert find_pair(corpus, "train.de:4").dropped == "duplicate"
    assert corpus.ledger.as_dict()["splits"]["test"]["overlap"]["source"]["count"] == 1


def test_a_ledger_without_the_fertility_of_a_side_is_refused(tmp_path: Path):
    values = store(tmp_path, 9).ledger.as_dict()
    del values["splits"]["test"]["fertility"]["source"]
    with pytest.raises(ArtefactError, match="fertility: not of source and target"):
        Ledger.parse(values, "x")


@pytest.mark.parametrize("key", ["tokenizer", "splits"])
def test_invalid_ledger_is_refused(tmp_path: Path, key: str):
    values = store(tmp_path, 9).ledger.as_dict()
    assert Ledger.parse(values, "x").as_dict() == values
    with pytest.raises(ArtefactError, match=f"ledger.json is damaged: {key}"):
        Ledger.parse(values | {key: 3}, "corpus x: ledger.json")
