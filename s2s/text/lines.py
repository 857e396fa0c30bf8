r"""Lines: decode bytes line by line, parse rows of tables, and read input ahead.

The line contract: input is split at `\n` only, an unterminated last line counts, and no bytes are no lines; a trailing
carriage return and a leading byte-order mark are stripped (`io.inputs.read_lines`). Rows of tables are lines, too: TSV
is split at tabs, without quoting or escapes; JSON lines have one object per line. Empty lines are not rows.
"""

import io
import json
import select
import time
import unicodedata
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, cast

from s2s.errors import DataError, did_you_mean
from s2s.io.inputs import MAX_LINE, read_lines

PAUSE = 0.05  # seconds without input after which a group of lines is passed on
CHUNK = 1 << 16  # bytes
GROUP = 1 << 22  # bytes

Texts = tuple[str, str]  # source and target


def decode_line(line: bytes, where: str, on_invalid: Literal["refuse", "replace"]) -> str:
    """Decode a line; `replace` substitutes U+FFFD for invalid UTF-8.

    Raises: DataError naming `where` (`file:line`) and the first bad byte, unless they are replaced.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if on_invalid == "replace":
            return line.decode(errors="replace")
        raise DataError(
            f"{where}: invalid UTF-8: byte {line[error.start]:#04x}, byte {error.start + 1} of the line"
        ) from error


def normalize(text: str, form: Literal["nfc", "nfkc", "none"]) -> str:
    """Apply a Unicode normal form."""
    if form == "none":
        return text
    return unicodedata.normalize("NFC" if form == "nfc" else "NFKC", text)


def single_line(text: str) -> str:
    r"""Replace each line break (`\n`, `\r`, `\r\n`) by a space; keep U+2028 and other separators."""
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def read_ahead(file: BinaryIO, window: int, name: str) -> Iterator[list[bytes]]:
    """Yield the lines of a file in groups of `window`, fewer if they exceed GROUP bytes, or at the end.

    When a pipe or terminal pauses, the group is passed on at once, followed by an empty one, so that interactive users
    get their results. Seekable files never pause, so their groups are always the same.
    Memory: a group and CHUNK bytes. Raises: DataError if a gzip file is damaged or truncated.
    """
    pipe = None if file.seekable() else _Pipe(file)
    lines = read_lines(cast(BinaryIO, pipe) if pipe else file, name)
    for first in lines:
        group, size, paused = [first], len(first), False
        while len(group) < window and size < GROUP:
            if paused := pipe is not None and pipe.pauses():
                break
            following = next(lines, None)
            if following is None:
                break
            group.append(following)
            size += len(following)
        yield group
        if pipe and (paused or pipe.pauses()):
            yield []


class _Pipe:
    """Lines of a file that is not seekable, and whether the next one is available."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = cast(io.BufferedReader, file)
        self._lines: deque[bytes] = deque()
        self._partial: list[bytes] = []  # parts of an unterminated line
        self._size = 0  # bytes in them
        self._ended = False

    def readline(self, _: int) -> bytes:
        """Wait for the next line and return it with its end, or the start of one longer than MAX_LINE."""
        return self._lines.popleft() if self._wait(None) else b""

    def pauses(self) -> bool:
        """Return whether no line is available within PAUSE."""
        return not self._wait(PAUSE)

    def _wait(self, seconds: float | None) -> bool:
        """Wait for a line, the end of the input or the timeout, and return whether there is a line."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._lines and not self._ended:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._file], [], [], left)[0]:
                break
            self._add(self._file.read1(CHUNK))
        return bool(self._lines)

    def _add(self, chunk: bytes) -> None:
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._end_line(part + b"\n")
        if rest:
            self._partial.append(rest)
            self._size += len(rest)
        self._ended = not chunk
        if self._partial and (self._ended or self._size > MAX_LINE):
            self._end_line(b"")

    def _end_line(self, part: bytes) -> None:
        self._lines.append(b"".join([*self._partial, part]))
        self._partial, self._size = [], 0


def tsv_texts(line: bytes, columns: tuple[int, int], where: str) -> Texts | None:
    """Return source and target from the given columns (from 1) of a tab-separated row.

    None for an empty line. Raises: DataError naming `where`.
    """
    if not line:
        return None
    cells = line.split(b"\t")
    if len(cells) < max(columns):
        raise DataError(f"{where}: expected {max(columns)} columns separated by tabs, found {len(cells)}")
    source, target = (decode_line(cells[column - 1], where, "refuse") for column in columns)
    return source, target


def json_texts(line: bytes, keys: tuple[str, str], where: str) -> Texts | None:
    """Return source and target under these keys of a JSON object; `translation.de` is `de` of the object `translation`.

    Line breaks in the texts become spaces. None for a blank line. Raises: DataError naming `where`.
    """
    text = decode_line(line, where, "refuse")
    if not text.strip():
        return None
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg}, character {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number with too many digits, or too deep nesting
        raise DataError(f"{where}: not JSON: {error}") from error
    source, target = (_json_text(row, key, where) for key in keys)
    return source, target


def _json_text(row: Any, key: str, where: str) -> str:
    value = row
    for part in [key] if isinstance(row, dict) and key in row else key.split("."):
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected an object with the key {part}, found {_kind(value)}")
        if part not in value:
            known = did_you_mean(part, list(value)) or f"its keys: {', '.join(value)}"
            raise DataError(f"{where}: no key {part}", f"{known} (data.source_column, data.target_column)")
        value = value[part]
    if not isinstance(value, str):
        raise DataError(f"{where}: expected text under {key}, found {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair: "\\ud800"
        raise DataError(f"{where}: half of a surrogate pair under {key}") from error
    return single_line(value)


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "null", list: "a list", str: "text"}
    return kinds.get(type(value), "an object")
