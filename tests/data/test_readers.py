import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from s2s.data.readers import Pair, files, read_split, source_digests
from s2s.errors import DataError, UsageError
from s2s.recipe.data import DataOptions
from s2s.recipe.kinds import HubDataOptions

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
    assert [pair[:4] for pair in read_split(data, "train")] == [
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
    with pytest.raises(DataError, match=r"line counts differ: .*a\.source has 2, .*a\.target has 1"):
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


def test_an_archive_that_unpacks_to_zeros_without_end_is_not_digested_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "CHUNK", 4)
    monkeypatch.setattr(files, "MAX_RUN", 10)
    data = lines(tmp_path, {"a.de.gz": b"12345678\n12345678\n" + bytes(12)}, b"")
    with pytest.raises(DataError, match=r"a\.de\.gz: over 0 MiB without the end of a line"):
        source_digests(data, "train")
    assert source_digests(lines(tmp_path, {"a.de.gz": b"12345678\n" * 9}, b""), "train")


def test_tsv_takes_columns_by_number_and_quotes_are_text(tmp_path: Path):
    train = write(tmp_path, "a.tsv", b'1\t"eins\tone"\n2\tNULL\tNA\n')
    data = options(tmp_path, "tsv", train, source_column=3, target_column="2")
    assert read(data) == [('one"', '"eins', 1), ("NA", "NULL", 2)]


def test_tsv_takes_the_first_two_columns_by_default(tmp_path: Path):
    data = options(tmp_path, "tsv", write(tmp_path, "a.tsv.gz", b"eins\tone\nzwei\ttwo"))
    assert read(data) == [("eins", "one", 1), ("zwei", "two", 2)]


@pytest.mark.parametrize("column", [0, "0", "-1", "", 1.5, True])
def test_columns_of_tables_are_numbers_from_1_or_names(tmp_path: Path, column: object):
    train = write(tmp_path, "a.tsv", b"eins\tone\n")
    with pytest.raises(ValidationError, match="target_column"):
        options(tmp_path, "tsv", train, source_column="1", target_column=column)


@pytest.mark.parametrize(
    ("kind", "content", "values"),
    [
        ("tsv", b"id\tde\ten\n1\teins\tone\n", {}),
        ("csv", b"id,de, en\r\n\r\n1,eins,one\r\n", {}),
        ("csv", b"id;de;en\n1;eins;one\n", {"delimiter": ";"}),
    ],
)
def test_columns_by_name_make_the_first_row_a_header(tmp_path: Path, kind: str, content: bytes, values: dict[str, str]):
    train = write(tmp_path, "a.table", content)
    data = options(tmp_path, kind, train, source_column="de", target_column="en", **values)
    assert [row[:2] for row in read(data)] == [("eins", "one")]
    mixed = options(tmp_path, kind, train, source_column=3, target_column="de", **values)
    assert [row[:2] for row in read(mixed)] == [("one", "eins")]


@pytest.mark.parametrize(("header", "hint"), [(b"german\tenglish", "did you mean german"), (b"de\tde", "rename")])
def test_a_header_without_the_column_or_with_two_is_refused(tmp_path: Path, header: bytes, hint: str):
    train = write(tmp_path, "a.tsv", header + b"\na\tb\n")
    column = "de" if hint == "rename" else "Xerman"
    with pytest.raises(UsageError) as caught:
        read(options(tmp_path, "tsv", train, source_column=column))
    assert hint in str(caught.value.hint)


def test_quoted_cells_of_csv_may_span_lines_and_places_are_lines_of_the_file(tmp_path: Path):
    content = b'\xef\xbb\xbf"ei,ns","one ""1"""\r\n"zw\r\nei",two\n\n"drei","three"'
    data = options(tmp_path, "csv", write(tmp_path, "a.csv", content))
    assert read(data) == [("ei,ns", 'one "1"', 1), ("zw ei", "two", 2), ("drei", "three", 5)]


def test_a_quote_that_is_not_closed_is_bad_data(tmp_path: Path):
    data = options(tmp_path, "csv", write(tmp_path, "a.csv", b'a,b\n"c,d\n' + b"e,f\n" * 99))
    with pytest.raises(DataError, match=r"a\.csv:2: not CSV") as caught:
        read(data)
    assert "quote not closed" in str(caught.value.hint)


def test_each_line_that_a_quote_takes_is_dropped(tmp_path: Path):
    train = write(tmp_path, "a.csv", b'a,b\n"c,d\ne,f\ng,"h"\ni,j\n')
    told: list[str] = []
    pairs = read_split(options(tmp_path, "csv", train, on_invalid="drop"), "train", told.append)
    assert [pair.line for pair in pairs] == [1, 5]
    assert told == ["a.csv:2", "a.csv:3", "a.csv:4"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"c\rx,d\n", "a carriage return in a cell without quotes"),
        (b"c" * 131_073 + b",d\n", "a cell of more than 131,072 characters"),
    ],
    ids=["carriage return", "long"],
)
def test_csv_without_quotes_is_refused_without_a_hint_at_them(tmp_path: Path, row: bytes, reason: str):
    with pytest.raises(DataError, match=rf"a\.csv:2: not CSV: {reason}$") as caught:
        read(options(tmp_path, "csv", write(tmp_path, "a.csv", b"a,b\n" + row)))
    assert "quote" not in str(caught.value.hint)


@pytest.mark.parametrize(
    ("kind", "content", "hint"),
    [
        ("csv", b"a;b\n", 'data.delimiter=";"'),
        ("csv", b"a\tb\n", "data.delimiter="),
        ("tsv", b"a,b\n", "data.kind=csv"),
    ],
)
def test_another_delimiter_is_suggested(tmp_path: Path, kind: str, content: bytes, hint: str):
    with pytest.raises(DataError, match=r"a\.table:1: expected 2 columns") as caught:
        read(options(tmp_path, kind, write(tmp_path, "a.table", content)))
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(("kind", "delimiter"), [("tsv", b"\t"), ("csv", b",")])
def test_rows_of_another_width_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind, delimiter):
    rows = [b"a,b", b"c,d,e", b"f,g", *[b"h,i,j"] * 4]
    data = options(tmp_path, kind, write(tmp_path, "a.table", b"\n".join(rows).replace(b",", delimiter)))
    assert len(read(data)) == len(read(data)) == 7
    (warning,) = caplog.messages
    assert "2 columns of the first row: 5 " in warning
    assert f"({tmp_path}/a.table:2, {tmp_path}/a.table:4, {tmp_path}/a.table:5, …)" in warning


@pytest.mark.parametrize(
    ("first", "languages", "expected"),
    [
        ("de\ten", {}, True),
        ("German\tEnglish", {}, True),
        ("Deutsch\tEnglisch", {"source_language": "de"}, True),
        ("source text\tTarget", {}, True),
        ("src\tpt_BR", {}, True),
        ("Hallo\tEnglish", {}, False),
        ("no\tno", {}, False),
        ("eins\tone", {}, False),
    ],
)
def test_a_header_that_is_read_as_a_pair_is_noticed(tmp_path: Path, caplog, first, languages, expected):
    data = options(tmp_path, "tsv", write(tmp_path, "a.tsv", f"{first}\na\tb\n".encode()), **languages)
    assert len(read(data)) == 2
    if expected:
        source, target = first.split("\t")
        (warning,) = caplog.messages
        assert f"a.tsv:1: {source!r} and" in warning
        assert f'data.source_column = "{source}" and data.target_column = "{target}"' in warning
    else:
        assert not caplog.messages


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
        ("csv", b"a,b\nonly one\n"),
        ("csv", b'a,b\n"c,\xff",d\n'),
        ("csv", b'a,b\n"c"d,e\n'),
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


@pytest.mark.parametrize("column", ["target", "english.de"])
def test_parquet_without_the_column_names_those_there_are(tmp_path: Path, column: str):
    train = parquet(tmp_path / "a.parquet", {"source": ["a"], "english": ["b"]})
    with pytest.raises(UsageError, match=f"no column {column}$") as caught:
        read(options(tmp_path, "parquet", train, target_column=column))
    assert "english" in str(caught.value.hint)


def test_a_missing_value_in_parquet_is_bad_data_or_dropped(tmp_path: Path):
    train = parquet(tmp_path / "a.parquet", {"source": ["a", None, "c"], "target": ["A", "B", "C"]})
    with pytest.raises(DataError, match=r"a\.parquet:2: expected text, found null"):
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


TMX = """<?xml version="1.0" encoding="UTF-16"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US"/><body>
<tu><note>Notiz</note><tuv xml:lang="en-US"><seg>one
 &amp; <bpt i="1">&lt;b><sub>x</sub></bpt><hi>two</hi><ept i="1">&lt;/b></ept></seg></tuv>
  <tuv xml:lang="DE"><prop>x</prop><seg>eins &#38; zwei</seg></tuv></tu>
<tu>
<tuv lang="de-AT"><seg>drei</seg></tuv><tuv lang="en-GB"><seg>three</seg></tuv><tuv lang="en"><seg>3</seg></tuv></tu>
<tu><tuv xml:lang="de"><seg>vier</seg></tuv><tuv xml:lang="fr"><seg>quatre</seg></tuv></tu>
<tu><tuv xml:lang="de"><seg/></tuv><tuv xml:lang="en"><seg>five</seg></tuv></tu>
</body></tmx>
"""


def tmx(root: Path, content: str, source: str = "de", target: str = "en", **values: Any) -> DataOptions:
    train = write(root, "a.tmx", content.encode())
    return options(root, "tmx", train, source_language=source, target_language=target, **values)


def test_units_of_tmx_are_pairs_at_their_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = tmx(tmp_path, TMX)
    assert read(data) == [("eins & zwei", "one  & two", 4), ("drei", "3", 7), ("", "five", 10)]
    (warning,) = caplog.messages
    assert "1 of 4 units do not have both de and en" in warning


@pytest.mark.parametrize(
    ("target", "found"),
    [("en-GB", ["three", "five"]), ("eng", ["one  & two", "3", "five"]), ("en_us", ["one  & two", "3", "five"])],
)
def test_languages_of_tmx_match_with_and_without_region(tmp_path: Path, target: str, found: list[str]):
    assert [row[1] for row in read(tmx(tmp_path, TMX, target=target))] == found


def test_columns_of_tmx_are_languages_in_the_file(tmp_path: Path):
    data = tmx(tmp_path, TMX, source="x", target="y", source_column="fr", target_column="de")
    assert read(data) == [("quatre", "vier", 9)]


def test_tmx_without_the_languages_names_those_there_are(tmp_path: Path):
    with pytest.raises(UsageError, match="both de and it") as caught:
        read(tmx(tmp_path, TMX, target="it"))
    assert "de, en" in str(caught.value.hint).lower()


def test_tmx_needs_two_languages(tmp_path: Path):
    for target in ("", "de"):
        with pytest.raises(ValidationError, match=r"target_language|both sides are de"):
            tmx(tmp_path, TMX, target=target)


BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BOMB + TMX.partition("?>")[2], "a.tmx:1: the document type declares"),
        (OUTSIDE + TMX.partition("?>")[2], "a.tmx:1: the document type declares"),
        ("<html><body></body></html>", "a.tmx:1: not TMX: its root is html"),
        (TMX.replace("</tu>\n<tu>", "</tuv>\n<tu>", 1), "a.tmx:6: not well-formed XML: mismatched tag"),
        (TMX[:-9], "a.tmx:11: not well-formed XML: unclosed token"),
        ("", "not well-formed XML: no element found"),
        ("<tmx><!--" + " \n" * 2**22, "a tag or comment is longer"),
        ("<tmx><tu><tuv><seg>" + "a\n" * 2**22, "a unit is longer"),
    ],
    ids=["bomb", "external entity", "html", "tags", "cut", "empty", "comment", "unit"],
)
def test_what_is_no_tmx_is_refused_with_its_line(tmp_path: Path, content: str, problem: str):
    with pytest.raises(DataError) as caught:
        read(tmx(tmp_path, content))
    assert problem in caught.value.message


def test_an_unknown_entity_is_bad_data_or_drops_its_unit(tmp_path: Path):
    content = TMX.replace("drei", "dr&nbsp;ei")
    with pytest.raises(DataError, match=r"a\.tmx:7: unknown entity &nbsp;"):
        read(tmx(tmp_path, content))
    assert [row[2] for row in read(tmx(tmp_path, content, on_invalid="drop"))] == [4, 10]


PO = r"""# Translators
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n != 0 ? 1 : 2);\n"

#: a.c:7
msgid "one \"1\"\n"
"more"
msgstr "eins  \t„1“"
msgctxt "menu"
msgid "Open"
msgstr "Öffnen"

#, fuzzy
msgid "nearly"
msgstr "fast"

msgid "not yet"
msgstr ""

#, c-format
msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d fails"
msgstr[1] "%d faili"
msgstr[2] "%d failu"

#~ msgid "old"
#~ msgstr "alt"
""".replace("\\u2028", "\u2028")


def test_entries_of_po_are_pairs_at_their_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    train = write(tmp_path, "a.po", PO.encode())
    expected = [
        ('one "1" more', "eins \u2028\t„1“", 7),
        ("Open", "Öffnen", 11),
        ("%d file", "%d fails", 22),
        ("%d files", "%d faili", 22),
    ]
    assert read(options(tmp_path, "po", train)) == expected
    reverse = read(options(tmp_path, "po", train, source_column="msgstr"))
    assert reverse == [(target, source, line) for source, target, line in expected]
    (message,) = caplog.messages
    assert "1 fuzzy, 1 untranslated, 1 obsolete" in message


@pytest.mark.parametrize("plural", ["n%0", "import os", "(" * 2000, ""])
def test_plural_forms_that_cannot_be_computed_are_singular_and_plural(tmp_path: Path, plural: str):
    content = PO.replace("(n%10==1 && n%100!=11 ? 0 : n != 0 ? 1 : 2)", plural)
    found = read(options(tmp_path, "po", write(tmp_path, "a.po", content.encode())))
    assert [row[:2] for row in found[2:]] == [("%d file", "%d fails"), ("%d files", "%d faili")]


def test_invalid_utf8_in_po_is_bad_data_or_dropped(tmp_path: Path):
    train = write(tmp_path, "a.po", PO.encode().replace("Öffnen".encode(), b"\xd6ffnen"))
    with pytest.raises(DataError, match=r"a\.po:11: invalid UTF-8"):
        read(options(tmp_path, "po", train))
    told: list[str] = []
    assert len(list(read_split(options(tmp_path, "po", train, on_invalid="drop"), "train", told.append))) == 3
    assert told == ["a.po:11"]


def test_what_is_no_po_file_is_refused_with_its_line(tmp_path: Path):
    (tmp_path / "other.po").write_text(PO)
    for content, problem in [
        (PO.replace('msgid "nearly"', 'msgid "near"ly"'), "a.po:16: not a PO file: unescaped double quote"),
        ("eins\n", "a.po:1: not a PO file"),
        (str(tmp_path / "other.po"), "a.po:1: not a PO file"),
    ]:
        with pytest.raises(DataError) as caught:
            read(options(tmp_path, "po", write(tmp_path, "a.po", content.encode())))
        assert problem in caught.value.message


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
