"""Line pairs of parallel files."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2s.errors import DataError, UsageError
from s2s.text.parallel import line_pairs, read_pairs, read_parallel

NAMES = ("a.de", "a.en")


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_pairs_come_one_at_a_time() -> None:
    pulled = 0

    def lines() -> Iterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield b"x"

    pairs = line_pairs(lines(), lines(), NAMES)
    assert next(pairs) == (b"x", b"x")
    assert pulled == 2


@pytest.mark.parametrize("counts", [(2, 1), (0, 3), (1500, 2)])
def test_unequal_line_counts_are_reported_after_all_pairs(counts: tuple[int, int]) -> None:
    pairs = line_pairs([b"s"] * counts[0], [b"t"] * counts[1], NAMES)
    for _ in range(min(counts)):
        assert next(pairs) == (b"s", b"t")
    with pytest.raises(DataError) as refused:
        next(pairs)
    assert refused.value.message == f"line counts differ: a.de has {counts[0]:,}, a.en has {counts[1]:,}"


@pytest.mark.parametrize("group_size", [1, 2, 3, 100])
def test_files_are_read_in_groups(tmp_path: Path, group_size: int) -> None:
    source = write(tmp_path / "s", "\ufeffä\n\nc\r\nd\ne".encode())
    target = write(tmp_path / "t", b"1\n2\n3\n4\n\n")
    groups = list(read_pairs(source, target, group_size))
    pairs = [pair for group in groups for pair in group]
    assert pairs == [("ä", "1"), ("", "2"), ("c", "3"), ("d", "4"), ("e", "")]
    assert all(len(group) == group_size for group in groups[:-1])


def test_empty_files_have_no_groups(tmp_path: Path) -> None:
    assert list(read_pairs(write(tmp_path / "s", b""), write(tmp_path / "t", b""))) == []


@pytest.mark.parametrize("piped", ["s", "t"])
def test_lines_before_a_pause_are_not_held_back(tmp_path: Path, piped: str) -> None:
    names = {side: str(tmp_path / side) for side in "st"}
    resume = threading.Event()

    def feed() -> None:
        with Path(names[piped]).open("w") as pipe:
            pipe.write("1\n2\n")
            pipe.flush()
            resume.wait(30)
            pipe.write("3\n")

    for side, name in names.items():
        if side == piped:
            os.mkfifo(name)
        else:
            write(Path(name), b"1\n2\n3\n")
    threading.Thread(target=feed, daemon=True).start()
    groups = read_pairs(names["s"], names["t"], 100)
    start = time.monotonic()
    assert next(groups) == [("1", "1"), ("2", "2")]
    assert time.monotonic() - start < 20
    resume.set()
    assert list(groups) == [[("3", "3")]]


@pytest.mark.parametrize("side", ["s", "t"])
def test_invalid_utf8_names_file_and_line(tmp_path: Path, side: str) -> None:
    contents = {"s": b"a\nb\nc\n", "t": b"a\nb\nc\n"} | {side: b"a\nb\n\xff\n"}
    source, target = (write(tmp_path / name, content) for name, content in contents.items())
    groups = read_pairs(source, target, 2)
    assert next(groups) == [("a", "a"), ("b", "b")]
    with pytest.raises(DataError, match=f"/{side}:3: invalid UTF-8"):
        next(groups)


def test_standard_input_for_both_sides_is_refused() -> None:
    with pytest.raises(UsageError, match="standard input"):
        next(read_pairs("-", "-"))


def test_several_files_are_read_as_text(tmp_path: Path) -> None:
    contents = {"a": "\ufeffä\r\n\nc", "b": "1\u2028\n2\n3\n", "c": "x\ny\nz\n"}
    names = [write(tmp_path / name, content.encode()) for name, content in contents.items()]
    assert read_parallel(names) == [["ä", "", "c"], ["1\u2028", "2", "3"], ["x", "y", "z"]]
    longer = write(tmp_path / "d", b"1\n" * 1234)
    with pytest.raises(DataError) as refused:
        read_parallel([*names, longer])
    assert refused.value.message == f"line counts differ: {names[0]} has 3, {longer} has 1,234"
    with pytest.raises(DataError, match="has no lines"):
        read_parallel([write(tmp_path / "e", b"")] * 2)
