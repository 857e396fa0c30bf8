import io

import pytest

from s2s.errors import DataError, UsageError
from s2s.io import inputs
from s2s.io.inputs import open_input, read_lines


@pytest.mark.parametrize("name", ["missing", "."])
def test_missing_input_or_directory(tmp_path, name):
    with pytest.raises(UsageError, match="cannot read"):
        open_input(str(tmp_path / name))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"one", [b"one"]),
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\r\ntwo\r", [b"one", b"two"]),
        (b"a\rb\x0b\x0c\xe2\x80\xa8c\n", [b"a\rb\x0b\x0c\xe2\x80\xa8c"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", [b"one", b"\xef\xbb\xbftwo"]),
        (b"one\n\n\n", [b"one", b"", b""]),
    ],
)
def test_lines_end_only_at_newlines(content, lines):
    assert list(read_lines(io.BytesIO(content))) == lines


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(inputs, "MAX_LINE", 5)
    assert list(read_lines(io.BytesIO(b"1234\n1234\n12345"))) == [b"1234", b"1234", b"12345"]
    with pytest.raises(DataError, match="zeros: the line that starts at byte 6 is longer than"):
        list(read_lines(io.BytesIO(b"1234\n123456"), "zeros"))


def test_a_first_line_that_is_too_long_has_the_line_ends_it_has(monkeypatch):
    monkeypatch.setattr(inputs, "MAX_LINE", 5)
    with pytest.raises(DataError, match="the line that starts at byte 1 is longer than"):
        list(read_lines(io.BytesIO(b"123456\r\na\r\nb\r\nc")))


@pytest.mark.parametrize("content", [b"a\rb\rc", b"a\rb\r\xff\r", b"a\rb\rcdefgh"])
def test_line_ends_of_old_macs_are_refused_with_the_command_that_converts(monkeypatch, content):
    monkeypatch.setattr(inputs, "MAX_LINE", 7)
    with pytest.raises(DataError, match="an old one: its lines end in carriage returns") as caught:
        list(read_lines(io.BytesIO(content), "an old one"))
    assert caught.value.hint == r"convert it: … | tr '\r' '\n' | …"


@pytest.mark.parametrize("content", [b"a\rb", b"a\rb\r", b"a\rb\rc\n"])
def test_a_few_carriage_returns_belong_to_their_line(content):
    assert list(read_lines(io.BytesIO(content))) == [content.removesuffix(b"\n").removesuffix(b"\r")]
