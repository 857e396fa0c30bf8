"""A window of consecutive pairs of one file, with what the checks need to know of its texts.

N: pairs.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from s2s.data.diagnosis.characters import DIGIT, FOLLOWER, LEAD, PLACEHOLDER, REPLACEMENT, Characters
from s2s.data.diagnosis.features import Sides, Vocabulary
from s2s.data.diagnosis.marks import Marks, differing_placeholders, find_marks, is_mojibake, is_tag
from s2s.data.readers.pair import Pair

WINDOW = 1000  # pairs
MAX_CHARACTERS = 1000  # of a text that are looked at

Mask = NDArray[np.bool_]


class Window:
    """Consecutive pairs of one file; their texts are cut to MAX_CHARACTERS."""

    def __init__(self, pairs: list[Pair], uncut: dict[int, tuple[int, int]]) -> None:
        """`uncut`: lengths of both texts in characters by row, where one has been cut."""
        self.pairs = pairs
        self.source = Characters([pair.source for pair in pairs])
        self.target = Characters([pair.target for pair in pairs])
        self.lengths = np.stack([self.source.lengths, self.target.lengths], axis=1)  # [N, 2]
        self.whole: Mask = np.ones(len(pairs), dtype=np.bool_)  # [N], whether no text is cut
        for row, lengths in uncut.items():
            self.lengths[row], self.whole[row] = lengths, False

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

    def sides(self, vocabulary: Vocabulary | None = None) -> Sides:
        """Return the features of both sides; without a vocabulary only the lengths."""
        logs = np.log(self.lengths + 1.0).astype(np.float32)
        logs[self.lengths == 0] = -1
        features = [logs[:, :1], logs[:, 1:]]
        if vocabulary:
            present = self.source.presence(vocabulary.source), self.target.presence(vocabulary.target)
            features = [np.hstack(both) for both in zip(features, present, strict=True)]
        texts = np.array([(hash(source), hash(target)) for source, target, *_ in self.pairs])
        return Sides(*features, *(np.stack([self.digests[:, side], texts[:, side]], axis=1) for side in (0, 1)))

    @functools.cached_property
    def copied(self) -> Mask:
        """Which targets [N] repeat the source."""
        return self._mask([row for row, (source, target, *_) in enumerate(self.pairs) if source == target])

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
        self._uncut: dict[int, tuple[int, int]] = {}

    def add(self, pair: Pair) -> Window | None:
        """Add a pair, and return the window that it completes, if it does."""
        source, target, line, file, _ = pair
        if len(source) > MAX_CHARACTERS or len(target) > MAX_CHARACTERS:
            self._uncut[len(self._pairs)] = len(source), len(target)
            pair = Pair(source[:MAX_CHARACTERS], target[:MAX_CHARACTERS], line, file)
        self._pairs.append(pair)
        return self.end() if len(self._pairs) == WINDOW else None

    def end(self) -> Window | None:
        """Return the window of the pairs since the last one, if there are any."""
        window = Window(self._pairs, self._uncut) if self._pairs else None
        self._pairs, self._uncut = [], {}
        return window
