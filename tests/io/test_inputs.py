import gzip
import io

import pytest

from s2s.errors import DataError, UsageError
from s2s.io import inputs
from s2s.io.inputs import open_input, read_lines


def test_open_plain_and_gzip(tmp_path):
    (tmp_path / "plain").write_bytes(b"one\ntwo")
    with gzip.open(tmp_path / "packed.gz", "wb") as file:
        file.write(b"one\ntwo")
    for name in ("plain", "packed.gz"):
        with open_input(str(tmp_path / name)) as file:
            assert list(read_lines(file)) == [b"one", b"two"]


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


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: b"no gzip at all"])
def test_damaged_gzip_is_named(tmp_path, damage):
    path = tmp_path / "packed.gz"
    path.write_bytes(damage(gzip.compress(b"one\ntwo\n" * 100)))
    with pytest.raises(DataError, match=r"packed\.gz"), open_input(str(path)) as file:
        list(read_lines(file, str(path)))


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(inputs, "MAX_LINE", 5)
    assert list(read_lines(io.BytesIO(b"1234\n1234\n12345"))) == [b"1234", b"1234", b"12345"]
    with pytest.raises(DataError, match="zeros: the line that starts at byte 6 is longer than"):
        list(read_lines(io.BytesIO(b"1234\n123456"), "zeros"))
