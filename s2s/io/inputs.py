"""Input files as bytes: standard input, plain and gzip files, split into lines."""

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from s2s.errors import DataError, ResourceError, UsageError, wrap_os_errors

MAX_LINE = 2**24  # bytes


def open_input(path: str) -> BinaryIO:
    """Open a file for reading bytes: `-` is standard input; a name that ends in `.gz` is decompressed.

    Raises: UsageError if it does not exist or is a directory, ResourceError if it cannot be read.
    """
    if path == "-":
        if sys.stdin is None:
            raise ResourceError("cannot read standard input: it is closed")
        return sys.stdin.buffer
    with wrap_os_errors(path, "read"):
        if Path(path).is_dir():
            raise UsageError(f"cannot read {path}: it is a directory", "name a file")
        return cast(BinaryIO, gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb"))


def refuse_twice(names: Sequence[str]) -> None:
    """Raise UsageError if several inputs are standard input."""
    if names.count("-") > 1:
        raise UsageError("standard input can only be read once", "give the other input as a file")


def read_lines(file: BinaryIO, name: str = "input") -> Iterator[bytes]:
    r"""Yield the lines of a file, split at `\n` only; an unterminated last line counts, no bytes are no lines.

    A trailing carriage return and a leading byte-order mark are stripped.
    Raises: DataError if a line is longer than MAX_LINE or a gzip file is damaged or truncated, ResourceError if it
    cannot be read.
    """
    first = True
    for line in _unpacked(_bounded(file, name), name):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        yield text.removeprefix(b"\xef\xbb\xbf") if first else text
        first = False


def _bounded(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the lines of a file with their line ends. Raises DataError if one is longer than MAX_LINE."""
    offset = 0
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            where = f"{name}: the line that starts at byte {offset + 1:,}"
            raise DataError(f"{where} is longer than {MAX_LINE >> 20} MiB", "is it text?")
        offset += len(line)
        yield line


def _unpacked(file: Iterable[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: the gzip file is damaged or truncated ({error})") from error
    except OSError as error:
        raise ResourceError(f"cannot read {name}: {error.strerror or error}") from error
