r"""Lines: decode bytes line by line, parse rows of tables, and read input ahead.

The line contract: input is split at `\n` only, an unterminated last line counts, and no bytes are no lines; a trailing
carriage return and a leading byte-order mark are stripped (`io.inputs.read_lines`). Rows of tables are lines, too: TSV
is split at tabs, without quoting or escapes; JSON lines have one object per line. Empty lines are not rows.
"""

import functools
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from s2s.errors import DataError, S2SError, did_you_mean
from s2s.io.encodings import conversion_hint, guess_encoding
from s2s.io.inputs import open_input, read_lines
from s2s.io.pipes import Pipe

GROUP = 1 << 22  # bytes

Texts = tuple[str, str]  # source and target


def decode_line(line: bytes, where: str, on_invalid: Literal["refuse", "replace"]) -> str:
    """Decode a line; `replace` substitutes U+FFFD for invalid UTF-8.

    Raises: DataError naming `where` (`file:line`) and the first bad byte, unless they are replaced; its hint is that of
    `encoding_hint`.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if on_invalid == "replace":
            return line.decode(errors="replace")
        raise DataError(
            f"{where}: invalid UTF-8: byte {line[error.start]:#04x}, byte {error.start + 1} of the line",
            encoding_hint(where),
        ) from error


def encoding_hint(where: str) -> str | None:
    """Return a hint at how to convert a file whose line at `where` is invalid UTF-8.

    None if only a few of its bytes are invalid, or if it is a pipe.
    """
    name = where.rpartition(":")[0]
    path = Path(name)
    if not path.is_file():
        return None
    status = path.stat()
    encoding = _encoding(name, status.st_mtime_ns, status.st_size)
    return encoding and conversion_hint(encoding, name)


@functools.lru_cache(maxsize=8)
def _encoding(name: str, _modified: int, _size: int) -> str | None:
    """Guess the encoding of a file that contains invalid UTF-8, once for each of its contents."""
    try:
        with open_input(name) as file:
            return guess_encoding(read_lines(file, name))
    except S2SError:  # it cannot be read to the end
        return None


def normalize(text: str, form: Literal["nfc", "nfkc", "none"]) -> str:
    """Apply a Unicode normal form."""
    if form == "none":
        return text
    return unicodedata.normalize("NFC" if form == "nfc" else "NFKC", text)


def is_normalized(text: str, form: Literal["nfc", "nfkc", "none"]) -> bool:
    """Return whether a text has a Unicode normal form; of several lines, whether each of them has it."""
    return form == "none" or unicodedata.is_normalized("NFC" if form == "nfc" else "NFKC", text)


def single_line(text: str) -> str:
    r"""Replace each line break (`\n`, `\r`, `\r\n`) by a space; keep U+2028 and other separators."""
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def read_ahead(file: BinaryIO, window: int, name: str) -> Iterator[list[bytes]]:
    """Yield the lines of a file in groups of `window`, fewer if they exceed GROUP bytes, or at the end.

    When a `Pipe` pauses, the group is passed on at once, followed by an empty one, so that interactive users get their
    results. Other files never pause, so their groups are always the same.
    Memory: a group and a chunk of the file. Raises: DataError and ResourceError as `read_lines` does.
    """
    pipe = file if isinstance(file, Pipe) else None
    lines = read_lines(file, name)
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
            raise DataError(f"{where}: expected an object with the key {part}, found {json_kind(value)}")
        if part not in value:
            known = did_you_mean(part, list(value)) or f"its keys: {', '.join(value)}"
            raise DataError(f"{where}: no key {part}", f"{known} (data.source_column, data.target_column)")
        value = value[part]
    if not isinstance(value, str):
        raise DataError(f"{where}: expected text under {key}, found {json_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair: "\\ud800"
        raise DataError(f"{where}: half of a surrogate pair under {key}") from error
    return single_line(value)


def json_kind(value: Any) -> str:
    """Return what to call a value in messages: `a number`, `null`; the type of what is no JSON."""
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "null", list: "a list", str: "text"}
    return (kinds | {dict: "an object"}).get(type(value), type(value).__name__)
