import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from s2s.data.readers import Pair, read_split, source_digests
from s2s.errors import DataError, UsageError
from s2s.recipe.data import DataOptions, HubDataOptions

data_options = TypeAdapter(DataOptions).validate_python


def options(root: Path, kind: str, train: dict[str, list[str]], **values: Any) -> DataOptions:
    held = {"hold_out_validation": 1, "hold_out_test": 1}
    return data_options({"kind": kind, "root": str(root), "train": train, **held, **values})


def lines(root: Path, source: bytes | dict[str, bytes], target: bytes | dict[str, bytes], **values: Any) -> DataOptions:
    """Options of files with these contents, which are written."""
    sides = {}
    for side, content in (("source", source), ("target", target)):
        files = content if isinstance(content, dict) else {f"a.{side}": content}
        for name, data in files.items():
            (root / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        sides[side] = list(files)
    return options(root, "lines", sides, **values)


def write(root: Path, name: str, content: bytes) -> dict[str, list[str]]:
    (root / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return {"files": [name]}


def read(data: DataOptions) -> list[tuple[str, str, int]]:
    return [(pair.source, pair.target, pair.line) for pair in read_split(data, "train")]


def test_lines_of_two_files_are_pairs_with_their_place(tmp_path: Path):
    data = lines(tmp_path, b"eins\nzwei\n", b"one\ntwo\n")
    assert list(read_split(data, "train")) == [Pair("eins", "one", 1, "a.source"), Pair("zwei", "two", 2, "a.source")]
    assert list(read_split(data, "test")) == []


def test_lines_are_kept_as_they_are(tmp_path: Path):
    source = "\ufeffeins\r\nz\u2028w\rei\n\n\tdrei ".encode()
    data = lines(tmp_path, source, b"1\n2\n\n4\n")
    assert read(data) == [("eins", "1", 1), ("z\u2028w\rei", "2", 2), ("", "", 3), ("\tdrei ", "4", 4)]


def test_several_files_plain_and_packed_follow_each_other(tmp_path: Path):
    data = lines(tmp_path, {"a.de": b"a\nb\n", "c.de.gz": b"c\n"}, {"a.en.gz": b"A\nB", "c.en": b"C\n"})
    assert [(*pair,) for pair in read_split(data, "train")] == [
        ("a", "A", 1, "a.de"),
        ("b", "B", 2, "a.de"),
        ("c", "C", 1, "c.de.gz"),
    ]


@pytest.mark.parametrize(
    ("source", "target"), [(b"a\nb\nc\nd\ne\n", b"A\nB\n"), (b"a\nb", b"A\nB\nC\nD\nE"), (b"", b"A\n")]
)
def test_unequal_line_counts_are_refused_with_both(tmp_path: Path, source: bytes, target: bytes):
    with pytest.raises(DataError) as caught:
        read(lines(tmp_path, source, target))
    for name, content in (("source", source), ("target", target)):
        assert f"{tmp_path / f'a.{name}'} has {len(content.splitlines())}" in caught.value.message


def test_line_counts_are_compared_file_by_file(tmp_path: Path):
    data = lines(tmp_path, {"a.de": b"a\nb\n", "c.de": b"c\n"}, {"a.en": b"A\n", "c.en": b"C\nD\n"})
    with pytest.raises(DataError, match=r"a\.de has 2, .*a\.en has 1"):
        read(data)


def test_unequal_numbers_of_files_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="2 source and 1 target"):
        read(lines(tmp_path, {"a.de": b"a\n", "c.de": b"c\n"}, {"a.en": b"A\n"}))


@pytest.mark.parametrize(("side", "number"), [("source", 2), ("target", 3)])
def test_invalid_utf8_is_refused_with_file_and_line(tmp_path: Path, side: str, number: int):
    content = {"source": b"a\nb\nc\n", "target": b"A\nB\nC\n"}
    content[side] = b"\n".join(b"caf\xe9" if line == number else b"x" for line in (1, 2, 3)) + b"\n"
    with pytest.raises(DataError, match=rf"a\.{side}:{number}: invalid UTF-8") as caught:
        read(lines(tmp_path, content["source"], content["target"]))
    assert "data.on_invalid=drop" in str(caught.value.hint)


def test_invalid_utf8_is_dropped_and_told_where_asked_for(tmp_path: Path):
    data = lines(tmp_path, b"a\n\xff\nc\nd\n", b"A\nB\n\xfe\nD\n", on_invalid="drop")
    told: list[str] = []
    assert [pair.source for pair in read_split(data, "train", told.append)] == ["a", "d"]
    assert told == ["a.source:2", "a.source:3"]


def test_unequal_line_counts_are_refused_where_invalid_lines_are_dropped(tmp_path: Path):
    with pytest.raises(DataError, match="unequal"):
        read(lines(tmp_path, b"a\n\xff\n", b"A\n", on_invalid="drop"))


def test_a_missing_file_is_a_usage_error_that_names_the_root_to_set(tmp_path: Path):
    data = options(tmp_path, "lines", {"source": ["no.de"], "target": ["no.en"]})
    for attempt in (lambda: read(data), lambda: source_digests(data, "train")):
        with pytest.raises(UsageError, match=r"no\.de") as caught:
            attempt()
        assert "--set data.root=DIRECTORY" in str(caught.value.hint)


def test_a_damaged_gzip_file_is_bad_data(tmp_path: Path):
    data = lines(tmp_path, {"a.de.gz": b"a\nb\n" * 99}, b"A\nB\n" * 99)
    whole = (tmp_path / "a.de.gz").read_bytes()
    for damaged in (whole[:-12], whole[:12] + b"\xff" * 9 + whole[21:]):
        (tmp_path / "a.de.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.de\.gz"):
            source_digests(data, "train")


def test_tsv_takes_columns_by_number_and_quotes_are_text(tmp_path: Path):
    train = write(tmp_path, "a.tsv", b'1\t"eins\tone"\n2\tNULL\tNA\n')
    data = options(tmp_path, "tsv", train, source_column=3, target_column="2")
    assert read(data) == [('one"', '"eins', 1), ("NA", "NULL", 2)]


def test_tsv_takes_the_first_two_columns_by_default(tmp_path: Path):
    data = options(tmp_path, "tsv", write(tmp_path, "a.tsv.gz", b"eins\tone\nzwei\ttwo"))
    assert read(data) == [("eins", "one", 1), ("zwei", "two", 2)]


@pytest.mark.parametrize("column", [0, "0", "en", "²", "-1", "", 1.5])
def test_tsv_columns_are_numbers_from_1(tmp_path: Path, column: object):
    train = write(tmp_path, "a.tsv", b"eins\tone\n")
    with pytest.raises(ValidationError, match="target_column"):
        options(tmp_path, "tsv", train, source_column="1", target_column=column)


def test_json_lines_take_columns_by_name(tmp_path: Path):
    rows = [{"de": "eins", "en": "one", "x": 1}, {"en": "two\nlines", "de": "zw\u2028ei"}]
    train = write(tmp_path, "a.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    data = options(tmp_path, "jsonl", train, source_column="de", target_column="en")
    assert read(data) == [("eins", "one", 1), ("zw\u2028ei", "two lines", 2)]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("tsv", b"a\tb\nonly one\n"),
        ("tsv", b"a\tb\nc\t\xff\n"),
        ("jsonl", b'{"source": "a", "target": "b"}\n{"source": "a"}\n'),
        ("jsonl", b'{"source": "a", "target": "b"}\n{"source": "a", "target": 3}\n'),
        ("jsonl", b'{"source": "a", "target": "b"}\n["a", "b"]\n'),
        ("jsonl", b'{"source": "a", "target": "b"}\n{"source": \n'),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line_or_dropped(tmp_path: Path, kind: str, content: bytes):
    good = content.splitlines()[0]
    train = write(tmp_path, "a.table", content + good)
    with pytest.raises(DataError, match=r"a\.table:2"):
        read(options(tmp_path, kind, train))
    told: list[str] = []
    kept = list(read_split(options(tmp_path, kind, train, on_invalid="drop"), "train", told.append))
    assert [(pair.source, pair.target, pair.line) for pair in kept] == [("a", "b", 1), ("a", "b", 3)]
    assert told == ["a.table:2"]


def parquet(path: Path, columns: dict[str, Any]) -> dict[str, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return {"files": [path.name]}


def test_parquet_takes_columns_fields_and_odd_file_names(tmp_path: Path):
    nested = [{"de": "eins", "en": "one"}, {"de": "zw\nei", "en": "two"}]
    train = parquet(tmp_path / "a [1]*.parquet", {"id": [1, 2], "translation": nested})
    data = options(tmp_path, "parquet", train, source_column="translation.de", target_column="translation.en")
    assert read(data) == [("eins", "one", 1), ("zw ei", "two", 2)]


def test_parquet_without_the_column_names_those_there_are(tmp_path: Path):
    train = parquet(tmp_path / "a.parquet", {"source": ["a"], "english": ["b"]})
    with pytest.raises(UsageError, match="no column target") as caught:
        read(options(tmp_path, "parquet", train))
    assert "source, english" in str(caught.value.hint)


def test_a_missing_value_in_parquet_is_bad_data_or_dropped(tmp_path: Path):
    train = parquet(tmp_path / "a.parquet", {"source": ["a", None, "c"], "target": ["A", "B", "C"]})
    with pytest.raises(DataError, match=r"a\.parquet:2"):
        read(options(tmp_path, "parquet", train))
    assert [row[2] for row in read(options(tmp_path, "parquet", train, on_invalid="drop"))] == [1, 3]


def test_invalid_utf8_in_parquet_is_bad_data_or_dropped(tmp_path: Path):
    import pyarrow as pa

    broken = pa.array([b"a", b"\xff", b"c"]).view(pa.utf8())
    train = parquet(tmp_path / "a.parquet", {"source": ["A", "B", "C"], "target": broken})
    with pytest.raises(DataError, match=r"a\.parquet:2: invalid UTF-8"):
        read(options(tmp_path, "parquet", train))
    assert [row[2] for row in read(options(tmp_path, "parquet", train, on_invalid="drop"))] == [1, 3]


def test_a_file_that_is_not_parquet_is_bad_data(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.parquet"):
        read(options(tmp_path, "parquet", write(tmp_path, "a.parquet", b"something else")))


def test_parquet_is_read_without_network_or_files_outside_the_home(tmp_path: Path):
    train = parquet(tmp_path / "a.parquet", {"source": ["a"], "target": ["A"]})
    code = (
        "import json, socket, sys\n"
        "def refused(*_): raise SystemExit('asked the network')\n"
        "socket.getaddrinfo = socket.socket.connect = refused\n"
        "from s2s.data.readers import read_split\n"
        "from pydantic import TypeAdapter\n"
        "from s2s.recipe.data import DataOptions\n"
        "data_options = TypeAdapter(DataOptions).validate_python\n"
        "print([*read_split(data_options(json.loads(sys.argv[1])), 'train')][0].source)\n"
        "print('torch' in sys.modules)\n"
    )
    (tmp_path / "user").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path / "user")}
    data = options(tmp_path, "parquet", train).model_dump_json()
    found = subprocess.run(
        [sys.executable, "-c", code, data], env=environment, capture_output=True, text=True, check=False
    )
    assert (found.stdout, found.stderr) == ("a\nFalse\n", "")
    assert list((tmp_path / "user").iterdir()) == []


def test_digests_are_of_contents_and_not_of_names_or_packing(tmp_path: Path):
    first = source_digests(lines(tmp_path, {"a.de": b"a\n"}, {"a.en": b"A\n"}), "train")
    second = source_digests(lines(tmp_path, {"b.de.gz": b"a\n"}, {"b.en": b"B\n"}), "train")
    assert first["a.de"] == second["b.de.gz"]
    assert first["a.en"] != second["b.en"]


def test_the_generator_gives_all_splits(tmp_path: Path):
    generator = {"seed": 3, "train": 7, "validation": 2, "test": 5}
    data = data_options({"kind": "generator", "generator": generator})
    splits = {name: list(read_split(data, name)) for name in ("train", "validation", "test")}
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 7, "validation": 2, "test": 5}
    assert [pair.line for pair in splits["validation"]] == [1, 2]
    other = data_options({"kind": "generator", "generator": {**generator, "seed": 4}})
    assert source_digests(data, "train") != source_digests(other, "train")
    assert source_digests(data, "train") == source_digests(data, "train")


def test_a_hubs_data_set_is_read_through_datasets(tmp_path: Path) -> None:
    """A directory stands for the hub: `load_dataset` takes one by the same name."""
    hub = tmp_path / "set"
    hub.mkdir()
    for name, word in (("train", "ein"), ("validation", "zwei"), ("test", "drei")):
        rows = [{"de": f"{word} {row}", "en": f"{word}!"} for row in range(3)]
        (hub / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = {name: {"hub_split": name} for name in ("train", "validation", "test")}
    data = HubDataOptions(kind="hub", hub=str(hub), source_column="de", target_column="en", **splits)
    assert [(pair.source, pair.target, pair.line) for pair in read_split(data, "validation")] == [
        ("zwei 0", "zwei!", 1),
        ("zwei 1", "zwei!", 2),
        ("zwei 2", "zwei!", 3),
    ]
    assert list(source_digests(data, "train").values()) != list(source_digests(data, "test").values())
    missing = data.model_copy(update={"hub": str(tmp_path / "nothing")})
    with pytest.raises(UsageError, match="from the hub"):
        list(read_split(missing, "train"))
