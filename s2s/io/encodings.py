"""Encodings other than UTF-8, guessed from the bytes of a text, and the command that converts them."""

import codecs
import re
from collections.abc import Iterable

from s2s.io.compression import filter_hint

BOMS = {  # longest first: that of UTF-16 is the start of that of UTF-32
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # characters that text does not have in any encoding
LATIN = "WINDOWS-1252"
UNKNOWN = "ENCODING"
FEWEST_CHARACTERS = 4  # from which a text without a byte-order mark is taken for UTF-16
BAD_LINES = 100  # lines with invalid UTF-8 that are looked at
LINES_AFTER = 10_000  # lines that are looked at from the first of them on


def wide_encoding(head: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 encoding of a text that starts with these bytes; None if it is neither.

    Without a byte-order mark, NUL bytes betray them: half of the bytes in Western European text, and beside every
    space and line end in others. A few NUL bytes in UTF-8 text do not count.
    """
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return None
    needed = 0.9 if _is_clean(_decoded(head, "utf-8") or "") else 0.02
    for encoding in ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE"):
        text = _decoded(head, encoding) or ""
        narrow = sum(character < "\u0100" for character in text)
        if len(text) >= FEWEST_CHARACTERS and narrow >= needed * len(text) and _is_printable(text):
            return encoding
    return None


def _decoded(head: bytes, encoding: str) -> str | None:
    """Decode the start of a text, whose last character may be incomplete; None if it is invalid."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None


def _is_clean(text: str) -> bool:
    """Return whether a text is not empty and has no control characters but NUL and white space."""
    return bool(text) and all(character >= " " or character in "\0\t\n\r\f\v" for character in text)


def _is_printable(text: str) -> bool:
    return "".join(character for character in text if character not in "\t\n\r\ufeff\u200e\u200f").isprintable()


def guess_encoding(lines: Iterable[bytes]) -> str | None:
    """Guess the encoding of lines of which some are invalid UTF-8: LATIN or UNKNOWN, for any other.

    None if they are UTF-8 text with a few invalid bytes, since valid lines have characters beyond ASCII or a single
    line is invalid; and if they are not text.
    """
    bad: list[bytes] = []
    good = after = 0
    for line in lines:
        if _is_valid(line):
            good += not line.isascii()
        else:
            bad.append(line)
        after += bool(bad)
        if len(bad) == BAD_LINES or after == LINES_AFTER:
            break
    text = b"\n".join(bad)
    if len(bad) < 2 or 10 * good > len(bad) or CONTROL.search(text):
        return None
    return LATIN if _is_latin(text) else UNKNOWN


def _is_valid(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_latin(text: bytes) -> bool:
    """Return whether a text looks like Windows-1252, of which Latin-1 is a part: few letters are not ASCII."""
    try:
        letters = [character for character in text.decode("cp1252") if character.isalpha()]
    except UnicodeDecodeError:  # a few bytes mean nothing
        return False
    return 3 * sum(not character.isascii() for character in letters) <= len(letters)


def conversion_hint(encoding: str, name: str) -> str:
    """Return a hint at the command that converts an input, a file or not, to UTF-8."""
    return filter_hint(f"iconv -f {encoding} -t UTF-8", name, ".utf8")
