"""The characters of many texts as arrays, and cheap facts about each text.

N: texts; C: characters of all of them.
"""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2s.text.scripts import script_of

TABLE = 1 << 16  # code points that tables cover; those above count as the last one, which is not a character
DIGIT, PLACEHOLDER, LEAD, FOLLOWER, REPLACEMENT = (1 << bit for bit in range(5))
# Characters as which Latin-1 and cp1252 show the bytes of UTF-8: first bytes C2 to F4, following bytes 80 to BF.
FOLLOWERS = "".join(map(chr, range(0x80, 0xC0))) + "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
HASHES = 1 << 16  # of three characters
FACTORS = np.array([0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35], dtype=np.uint32)

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Characters:
    """The characters of N texts, each with a line end after it."""

    def __init__(self, texts: Sequence[str]) -> None:
        joined = "\n".join(texts) + "\n"
        points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        self._points = points
        self._index = np.minimum(points, TABLE - 1)  # [C]
        self.lengths: Ints = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        self._starts = np.concatenate([[0], np.cumsum(self.lengths + 1)[:-1]])

    @functools.cached_property
    def facts(self) -> Bytes:
        """Which kinds of characters each text has [N]: DIGIT and others, as bits."""
        return np.bitwise_or.reduceat(_facts().take(self._index), self._starts)

    @functools.cached_property
    def scripts(self) -> Bytes:
        """The script of each character [C]: its number in SCRIPTS; 0 for what is not a letter."""
        return SCRIPTS.numbers(self._index)

    @property
    def open_ends(self) -> NDArray[np.bool_]:
        """Which texts [N] end with a letter or a digit, not with punctuation."""
        last = self._starts + np.maximum(self.lengths, 1) - 1  # the line end of an empty text
        return (self.scripts[last] > 0) | (_facts()[self._index[last]] & DIGIT > 0)

    def count(self, where: NDArray[np.bool_]) -> Ints:
        """Count the characters for which `where` [C] is true in each text [N]."""
        return np.add.reduceat(where, self._starts, dtype=np.int64)

    @functools.cached_property
    def trigrams(self) -> NDArray[np.uint16]:
        """Hashes of the three characters that start at each one [C - 2]."""
        first, second, third = (self._points[start : len(self._points) - 2 + start] for start in range(3))
        mixed = (first * FACTORS[0]) ^ (second * FACTORS[1]) ^ (third * FACTORS[2])
        return (mixed >> np.uint32(16)).astype(np.uint16)

    def presence(self, columns: NDArray[np.int16]) -> NDArray[np.float32]:
        """Return which trigrams each text has [N, F]; `columns` [HASHES] gives their columns, -1 for others."""
        found = columns.take(self.trigrams)
        places = np.flatnonzero(found >= 0)
        present = np.zeros((len(self.lengths), int(columns.max()) + 1), dtype=np.float32)
        present[np.searchsorted(self._starts, places, side="right") - 1, found[places]] = 1
        return present

    def trigrams_of(self, texts: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Return the trigrams that start in those of the N texts that `texts` marks."""
        inside = np.repeat(texts, self.lengths + 1)
        return self.trigrams[inside[: len(self.trigrams)]]

    def sum_over_trigrams(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum [N] of the weights of each text's trigrams."""
        values = np.zeros(len(self._points))
        values[: len(self.trigrams)] = weights.take(self.trigrams)
        return np.add.reduceat(values, self._starts)


@functools.cache
def _facts() -> Bytes:
    """Return a table [TABLE] of facts about characters."""
    table = np.zeros(TABLE, dtype=np.uint8)
    table[[point for point in range(TABLE) if chr(point).isdecimal()]] |= DIGIT
    for fact, characters in ((PLACEHOLDER, "%{<&"), (FOLLOWER, FOLLOWERS), (REPLACEMENT, "\ufffd")):
        table[[ord(character) for character in characters]] |= fact
    table[0xC2:0xF5] |= LEAD
    return table


class Scripts:
    """The scripts of characters, by numbers below COUNT; looked up when a block of 256 is first seen."""

    COUNT = 255
    UNKNOWN = 255

    def __init__(self) -> None:
        self.names = [""]  # by number; 0: no letter
        self._table = np.full(TABLE, self.UNKNOWN, dtype=np.uint8)

    def numbers(self, points: NDArray[np.uint32]) -> Bytes:
        """Return the numbers [C] of the scripts of characters [C]."""
        numbers = self._table.take(points)
        if numbers.max(initial=0) == self.UNKNOWN:
            for block in np.unique(points[numbers == self.UNKNOWN] >> 8).tolist():
                for point in range(block << 8, (block + 1) << 8):
                    self._table[point] = self._number(script_of(chr(point)))
            numbers = self._table.take(points)
        return numbers

    def _number(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


SCRIPTS = Scripts()
