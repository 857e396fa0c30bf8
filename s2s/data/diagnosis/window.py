"""A window of consecutive pairs of one file, with what the checks need to know of its texts.

N: pairs.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from s2s.data.diagnosis.characters import DIGIT, FOLLOWER, LEAD, PLACEHOLDER, REPLACEMENT, Characters
from s2s.data.diagnosis.features import Sides, Vocabulary
from s2s.data.diagnosis.marks import Marks, find_marks, is_mojibake, is_tag
from s2s.data.readers.pair import Pair
from s2s.text.placeholders import differing_placeholders

WINDOW = 1000  # pairs
MAX_CHARACTERS = 1000  # of a text that are looked at

Mask = NDArray[np.bool_]


class Window:
    """Consecutive pairs of one file; their texts are cut to MAX_CHARACTERS."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
        self.lengths = np.array([[*map(len, side)] for side in texts], dtype=np.int64).T  # [N, 2]
        self.whole: Mask = self.lengths.max(axis=1) <= MAX_CHARACTERS  # [N], whether no text is cut
        self.pairs = list(pairs)
        for row in np.flatnonzero(~self.whole).tolist():
            for side in texts:
                side[row] = side[row][:MAX_CHARACTERS]
            self.pairs[row] = pairs[row]._replace(source=texts[0][row], target=texts[1][row])
        self.source, self.target = map(Characters, texts)

    def __len__(self) -> int:
        return len(self.pairs)

    @functools.cached_property
    def marks(self) -> dict[int, tuple[Marks, Marks]]:
        """Numbers and placeholders of the pairs that may have some, by row."""
        suspects = np.flatnonzero((self.source.facts | self.target.facts) & (DIGIT | PLACEHOLDER)).tolist()
        pairs = ((row, self.pairs[row]) for row in suspects)
        return {row: (find_marks(pair.source), find_marks(pair.target)) for row, pair in pairs}

    @functools.cached_property
    def digests(self) -> NDArray[np.int64]:
        """Digests of the numbers and placeholders of both sides [N, 2]; 0 if there are none."""
        digests = np.zeros((len(self), 2), dtype=np.int64)
        for row, (source, target) in self.marks.items():
            digests[row] = source.digest, target.digest
        return digests

    @functools.cached_property
    def texts(self) -> NDArray[np.int64]:
        """Digests of both texts [N, 2], which hold in this process only."""
        sides = [pair.source for pair in self.pairs], [pair.target for pair in self.pairs]
        return np.array([[*map(hash, side)] for side in sides], dtype=np.int64).T

    def sides(self, vocabulary: Vocabulary | None = None) -> Sides:
        """Return the features of both sides; without a vocabulary only the lengths."""
        logs = np.log(self.lengths + 1.0).astype(np.float32)
        logs[self.lengths == 0] = -1
        features = [logs[:, :1], logs[:, 1:]]
        if vocabulary:
            present = self.source.presence(vocabulary.source), self.target.presence(vocabulary.target)
            features = [np.hstack(both) for both in zip(features, present, strict=True)]
        return Sides(*features, *(np.stack([self.digests[:, side], self.texts[:, side]], axis=1) for side in (0, 1)))

    @functools.cached_property
    def copied(self) -> Mask:
        """Which targets [N] repeat the source."""
        same: Mask = self.texts[:, 0] == self.texts[:, 1]
        return same

    def differing_numbers(self) -> tuple[Mask, Mask]:
        """Return which pairs [N] have different numbers, and which have numbers on both sides."""
        both = [row for row, (source, target) in self.marks.items() if source.numbers and target.numbers]
        differ = [row for row in both if self.marks[row][0].numbers != self.marks[row][1].numbers]
        return self._mask(differ) & self.whole, self._mask(both) & self.whole

    def differing_placeholders(self, *, tags: bool) -> tuple[Mask, Mask]:
        """Return which pairs [N] have different placeholders, and which have any; or tags and entities instead."""
        some, differ = [], []
        for row, (source, target) in self.marks.items():
            if any(is_tag(one) == tags for one in (*source.placeholders, *target.placeholders)):
                some.append(row)
                pair = self.pairs[row]
                if any(is_tag(one) == tags for one in differing_placeholders(pair.source, pair.target)):
                    differ.append(row)
        return self._mask(differ) & self.whole, self._mask(some) & self.whole

    def mojibake(self) -> Mask:
        """Return which pairs [N] hold text that was decoded wrongly."""
        found = np.zeros(len(self), dtype=np.bool_)
        for facts in (self.source.facts, self.target.facts):
            suspect = (facts & REPLACEMENT != 0) | (facts & (LEAD | FOLLOWER) == LEAD | FOLLOWER)
            for row in np.flatnonzero(suspect).tolist():
                pair = self.pairs[row]
                found[row] = is_mojibake(pair.source) or is_mojibake(pair.target)
        return found

    def _mask(self, rows: list[int]) -> Mask:
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[rows] = True
        return mask


class Windows:
    """Collects the pairs of a file into windows."""

    def __init__(self) -> None:
        self._pairs: list[Pair] = []

    def add(self, pairs: Iterable[Pair]) -> Iterator[Window]:
        """Add pairs, and yield the windows that they complete."""
        self._pairs += pairs
        while len(self._pairs) >= WINDOW:
            window = Window(self._pairs[:WINDOW])
            del self._pairs[:WINDOW]
            yield window

    def end(self) -> Window | None:
        """Return the window of the pairs since the last one, if there are any."""
        window = Window(self._pairs) if self._pairs else None
        self._pairs = []
        return window
