"""Input files as bytes: standard input, plain and compressed files, split into lines."""

import io
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from s2s.errors import DataError, ResourceError, UsageError, wrap_os_errors
from s2s.io.compression import CHUNK, LONGEST_START, UnpackedFile, recognize
from s2s.io.pipes import Pipe
from s2s.io.text_check import HEAD, check_line_ends, check_text

MAX_LINE = 2**24  # bytes
FIRST_LINES = 10  # lines whose bytes tell whether an input is text


def shown_name(name: str) -> str:
    """Return how messages name an input: `-` is standard input."""
    return "standard input" if name == "-" else name


def open_input(path: str) -> BinaryIO:
    """Open a file for reading bytes: `-` is standard input; gzip, bzip2, xz and Zstandard files are decompressed.

    Raises: UsageError if it does not exist or is a directory, ResourceError if it cannot be read.
    """
    if path == "-":
        if sys.stdin is None:
            raise ResourceError("cannot read standard input: it is closed")
        return unpacked(sys.stdin.buffer, shown_name(path))
    with wrap_os_errors(path, "read"):
        if Path(path).is_dir():
            raise UsageError(f"cannot read {path}: it is a directory", "name a file")
        return unpacked(Path(path).open("rb"), path)


def unpacked(file: BinaryIO, name: str) -> BinaryIO:
    """Return the content of a file, decompressed if its first bytes say so; a `Pipe` if it is not seekable.

    Reading it raises DataError if a compressed file is damaged or truncated.
    """
    if not file.seekable():
        return cast(BinaryIO, Pipe(file, name, MAX_LINE))
    start = file.tell()
    compression = recognize(file.read(LONGEST_START))
    file.seek(start)
    return io.BufferedReader(UnpackedFile(file, compression, name), CHUNK) if compression else file


def refuse_twice(names: Sequence[str]) -> None:
    """Raise UsageError if several inputs are standard input."""
    if names.count("-") > 1:
        raise UsageError("standard input can only be read once", "give the other input as a file")


def read_lines(file: BinaryIO, name: str = "input") -> Iterator[bytes]:
    r"""Yield the lines of a file, split at `\n` only; an unterminated last line counts, no bytes are no lines.

    A trailing carriage return and a leading byte-order mark are stripped.
    Raises: DataError if it is not UTF-8 text but an archive, a Parquet file or text in UTF-16 or UTF-32, or if a line
    is longer than MAX_LINE or a compressed file is damaged or truncated; ResourceError if it cannot be read.
    """
    head, looked_at = b"", 0  # lines
    for part in _whole_lines(file, name):
        lines = part.removesuffix(b"\n").split(b"\n")
        if looked_at == 0:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        for line in islice(io.BytesIO(part), FIRST_LINES - looked_at):
            head = (head + line[:HEAD])[:HEAD]
            check_text(head, name)
            if looked_at == 0:
                check_line_ends(line, name)
            looked_at += 1
        yield from [line.removesuffix(b"\r") for line in lines] if b"\r" in part else lines


def _whole_lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the bytes of a file in parts that end with a line. Raises DataError if one is longer than MAX_LINE."""
    read = file.readline if isinstance(file, Pipe) else cast(io.BufferedReader, file).read1
    offset, rest = 0, b""  # of the rest, which has no line end
    try:
        while True:
            chunk = read(CHUNK)
            if len(rest) + (chunk.find(b"\n") + 1 or len(chunk)) > MAX_LINE:
                if offset == 0:
                    start = (rest + chunk)[: MAX_LINE + 1]
                    check_text(start[:HEAD], name)
                    check_line_ends(start, name)
                where = f"{name}: the line that starts at byte {offset + 1:,}"
                raise DataError(f"{where} is longer than {MAX_LINE >> 20} MiB", "is it text?")
            if not chunk:
                break
            part = rest + chunk
            end = part.rfind(b"\n") + 1
            part, rest = part[:end], part[end:]
            if part:
                offset += end
                yield part
    except OSError as error:
        raise ResourceError(f"cannot read {name}: {error.strerror or error}") from error
    if rest:
        yield rest
