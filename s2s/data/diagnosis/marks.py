"""What a translation usually keeps: numbers, placeholders, tags and entities; and traces of a wrong encoding."""

import re
import zlib
from typing import NamedTuple

from s2s.data.diagnosis.characters import FOLLOWERS
from s2s.data.filters.text import numbers
from s2s.text.placeholders import placeholders

WRONG_CHARACTER = re.compile(f"[Â-ß][{FOLLOWERS}]|[à-ï][{FOLLOWERS}]{{2}}|[ð-ô][{FOLLOWERS}]{{3}}")
# What UTF-8 read as cp1252 stands for, besides letters: quotes, dashes, dots, the euro sign, signs of Latin-1.
WRONG_SYMBOLS = set("‘’“”„–—…•€™\u00a0¡¢£§©«®°±²³·»¿×")

TYPOGRAPHY = set("\u00a0«»‘’“”–—…")  # often follows a letter with an accent: `« privé »`


class Marks(NamedTuple):
    """What a translation keeps."""

    numbers: frozenset[str]
    placeholders: tuple[str, ...]  # sorted; with tags and entities

    @property
    def digest(self) -> int:
        """A positive number that equal marks share; 0 if there are none."""
        marks = "\n".join((*sorted(self.numbers), *self.placeholders))
        return zlib.crc32(marks.encode("utf-8", "surrogatepass")) + 1 if marks else 0


def find_marks(text: str) -> Marks:
    """Return the numbers and placeholders of a text."""
    return Marks(frozenset(numbers(text)), tuple(sorted(placeholders(text))))


def is_tag(placeholder: str) -> bool:
    """Return whether what `placeholders` has found is a tag or an entity."""
    return placeholder[0] in "<&"


def is_mojibake(text: str) -> bool:
    """Return whether a text holds U+FFFD, or UTF-8 that was read as Latin-1 or cp1252: `Ã¤` for `ä`, `â€™` for `’`."""
    return "\ufffd" in text or any(_stands_for_one(match) for match in WRONG_CHARACTER.findall(text))


def _stands_for_one(characters: str) -> bool:
    """Return whether characters, as the bytes of one that was read wrongly, make a letter or a usual symbol."""
    if characters[0] not in "ÂÃâ" and TYPOGRAPHY.issuperset(characters[1:]):
        return False
    try:
        character = b"".join(_byte(one) for one in characters).decode()
    except UnicodeDecodeError:
        return False
    return character.isalpha() or character in WRONG_SYMBOLS


def _byte(character: str) -> bytes:
    return bytes([ord(character)]) if ord(character) < 0x100 else character.encode("cp1252")
