import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.errors import DataError
from s2s.io import pipes
from s2s.io.encodings import wide_encoding
from s2s.io.inputs import unpacked
from s2s.text import lines
from s2s.text.lines import decode_line, json_texts, normalize, read_ahead, single_line, tsv_texts

PARTS = [b"\n", b"\r", b"a", b"bc", b"\xef\xbb\xbf", "\u2028\x85\x0b".encode(), b"\xff", b"\0"]
pytestmark = pytest.mark.timeout(60)  # a reader that waits for ever must not hold up the rest


def is_text(content: bytes) -> bool:
    """Whether a content is neither UTF-16 nor text of an old Mac."""
    heads = itertools.accumulate(content.splitlines(keepends=True))
    return (b"\n" in content or content.count(b"\r") < 2) and not any(map(wide_encoding, heads))


CONTENT = st.lists(st.sampled_from(PARTS)).map(b"".join).filter(is_text)


def by_contract(content: bytes) -> list[bytes]:
    """The lines of a content, as the contract says."""
    if not content:
        return []
    found = [line.removesuffix(b"\r") for line in content.removesuffix(b"\n").split(b"\n")]
    return [found[0].removeprefix(b"\xef\xbb\xbf"), *found[1:]]


@contextlib.contextmanager
def pipe(*writes: bytes) -> Iterator[tuple[BinaryIO, Callable[[bytes], None], Callable[[], None]]]:
    """A pipe's reading end with something in it, how to write more and how to end it."""
    reading, writing = os.pipe()
    with open(reading, "rb") as file, open(writing, "wb", buffering=0) as end:  # noqa: PTH123

        def write(content: bytes) -> None:
            end.write(content)

        for content in writes:
            write(content)
        yield unpacked(file, "x"), write, end.close


@given(content=CONTENT, window=st.integers(1, 5))
def test_a_file_is_read_line_by_line_in_full_groups(content: bytes, window: int):
    groups = list(read_ahead(io.BytesIO(content), window, "x"))
    assert list(itertools.chain.from_iterable(groups)) == by_contract(content)
    assert all(len(group) == window for group in groups[:-1])
    assert all(0 < len(group) <= window for group in groups)


@given(content=CONTENT, window=st.integers(1, 5), chunk=st.integers(1, 7))
def test_a_pipe_is_read_like_a_file(content: bytes, window: int, chunk: int):
    with pytest.MonkeyPatch.context() as patch, pipe(content) as (file, _, end):
        patch.setattr(pipes, "CHUNK", chunk)
        end()
        assert [group for group in read_ahead(file, window, "x") if group] == list(
            read_ahead(io.BytesIO(content), window, "x")
        )


def test_a_group_of_a_pipe_comes_when_the_input_pauses_and_an_empty_one_says_so():
    with pipe(b"a\nb\nc") as (file, write, end):
        groups = read_ahead(file, 5, "x")
        assert [next(groups), next(groups)] == [[b"a", b"b"], []]
        write(b"d\ne\n")
        assert [next(groups), next(groups)] == [[b"cd", b"e"], []]
        write(b"f\n\ng")
        end()
        assert list(groups) == [[b"f", b"", b"g"], []]


def test_a_group_of_a_pipe_is_no_larger_than_the_window():
    with pipe(b"a\nb\nc\nd\ne\n") as (file, _, end):
        groups = read_ahead(file, 2, "x")
        assert [next(groups), next(groups)] == [[b"a", b"b"], [b"c", b"d"]]
        end()
        assert list(groups) == [[b"e"], []]


def test_a_group_of_long_lines_is_smaller(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "GROUP", 10)
    groups = list(read_ahead(io.BytesIO(b"a\n" * 12 + b"b" * 30 + b"\nc\nd\n"), 8, "x"))
    assert groups == [[b"a"] * 8, [b"a"] * 4 + [b"b" * 30], [b"c", b"d"]]


def test_lines_longer_than_what_is_read_at_once_stay_whole():
    content = b"a\n" + b"long" * pipes.CHUNK + b"\n" + b"b" * (pipes.CHUNK + 3)
    with pipe() as (file, write, end):
        writer = threading.Thread(target=lambda: (write(content), end()))
        writer.start()
        found = list(itertools.chain.from_iterable(read_ahead(file, 3, "x")))
        writer.join()
    assert found == content.split(b"\n")


def test_input_without_end_is_read_as_it_is_asked_for():
    with subprocess.Popen(["yes", "ja"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout
        groups = read_ahead(unpacked(endless.stdout, "x"), 1000, "x")
        assert [len(next(groups)), len(next(groups))] == [1000, 1000]
        endless.kill()


def test_who_stops_early_ends_though_the_input_stays_open():
    code = (
        "from s2s.io.inputs import open_input\n"
        "from s2s.text.lines import read_ahead\n"
        "for group in read_ahead(open_input('-'), 3, 'x'):\n"
        "    print(group, flush=True)\n"
        "    break\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, stderr=-1) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        child.stdin.write(b"a\nb\n")
        child.stdin.flush()
        assert child.wait(40) == 0
        assert (child.stdout.read(), child.stderr.read()) == (b"[b'a', b'b']\n", b"")


def test_valid_lines_are_decoded_as_they_are():
    assert decode_line("\ufeffgrün\u2028\r".encode(), "x:1", "refuse") == "\ufeffgrün\u2028\r"


@pytest.mark.parametrize("line", [b"caf\xe9", b"caf\xe9 au lait", b"caf\xed\xa0\x80"])
def test_invalid_bytes_are_refused_with_their_place_or_replaced(line: bytes):
    with pytest.raises(DataError, match=rf"a\.de:7: invalid UTF-8: byte {line[3]:#x}, byte 4 of the line"):
        decode_line(line, "a.de:7", "refuse")
    assert decode_line(line, "a.de:7", "replace").startswith("caf\ufffd")


def test_normal_forms():
    text = "e\u0301ﬁ"
    assert [normalize(text, form) for form in ("nfc", "nfkc", "none")] == ["éﬁ", "éfi", text]


@given(st.text(st.sampled_from("a \n\r\u2028\x85\x0b")))
def test_a_single_line_has_no_line_breaks_and_loses_nothing_else(text: str):
    found = single_line(text)
    assert not set(found) & set("\n\r")
    assert len(list(read_ahead(io.BytesIO(found.encode() + b"\n"), 3, "x"))) == 1
    assert found.replace(" ", "") == text.replace(" ", "").replace("\n", "").replace("\r", "")


def test_a_line_break_of_two_characters_is_one_space():
    assert single_line("a\r\nb\nc\rd\n\re") == "a b c d  e"


def test_tsv_takes_columns_from_one_and_knows_no_quotes():
    assert tsv_texts(b'"a\t"b""\t\\tc\t', (3, 1), "x:1") == ("\\tc", '"a')
    assert tsv_texts(b"NULL\tNA", (1, 2), "x:1") == ("NULL", "NA")
    assert tsv_texts(b"a\tb", (2, 2), "x:1") == ("b", "b")


def test_an_empty_line_is_no_row_and_empty_cells_are():
    assert tsv_texts(b"", (1, 2), "x:1") is None
    assert tsv_texts(b"\t", (1, 2), "x:1") == ("", "")
    assert json_texts(b" ", ("a", "b"), "x:1") is None
    assert json_texts(b'{"a": "", "b": ""}', ("a", "b"), "x:1") == ("", "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a\tb", r"a\.tsv:3: expected 4 columns separated by tabs, found 2"),
        (b"a\tb\tc\t\xff", r"a\.tsv:3: invalid UTF-8"),
    ],
)
def test_a_bad_row_of_tsv_is_refused_with_its_place(line: bytes, message: str):
    with pytest.raises(DataError, match=message):
        tsv_texts(line, (2, 4), "a.tsv:3")


@given(
    st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])), st.booleans()
)
def test_json_gives_the_texts_that_were_written(source: str, target: str, ascii_only: bool):
    row = json.dumps({"en": target, "n": 3, "de": source}, ensure_ascii=ascii_only).encode()
    assert json_texts(row, ("de", "en"), "x:1") == (single_line(source), single_line(target))


def test_json_keys_reach_into_objects_and_a_whole_key_comes_first():
    row = json.dumps({"translation": {"de": "eins", "en": "one"}, "a.b": "two", "a": {"b": "three"}}).encode()
    assert json_texts(row, ("translation.de", "translation.en"), "x:1") == ("eins", "one")
    assert json_texts(row, ("a.b", "translation.en"), "x:1") == ("two", "one")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (b'{"source": "a"}', "no key target", "its keys: source"),
        (b'{"source": "a", "targte": "b"}', "no key target", "did you mean targte"),
        (b'{"source": "a", "target": 3}', "expected text under target, found a number", None),
        (b'{"source": "a", "target": null}', "expected text under target, found null", None),
        (b'{"source": "a", "target": {}}', "expected text under target, found an object", None),
        (b'["a", "b"]', "expected an object with the key source, found a list", None),
        (b'{"source": "a", "target": "b"', "not JSON: ", None),
        (b'{"source": "a", "target": "\\ud800"}', "half of a surrogate pair under target", None),
        (b'{"source": "a", "target": "\xff"}', "invalid UTF-8", None),
        (b"[" * 99_999, "not JSON", None),
        (b"9" * 9_999, "not JSON", None),
    ],
)
def test_a_bad_row_of_json_is_refused_with_its_place(line: bytes, message: str, hint: str | None):
    with pytest.raises(DataError) as caught:
        json_texts(line, ("source", "target"), "a.jsonl:3")
    assert caught.value.message.startswith(f"a.jsonl:3: {message}")
    assert (hint or "") in (caught.value.hint or "")


def test_a_row_of_a_table_is_a_line_whatever_its_text_holds():
    texts = ["a\u2028b", "c\rd", "e\x85f\x0bg"]
    rows = "\n".join(f"{unicodedata.normalize('NFC', text)}\t{number}" for number, text in enumerate(texts)).encode()
    found = [tsv_texts(line, (1, 2), "x") for group in read_ahead(io.BytesIO(rows), 2, "x") for line in group]
    assert found == [(text, str(number)) for number, text in enumerate(texts)]
