"""Features of lines from which a model tells parallel lines from others.

N: lines; F: features; M: candidate trigrams.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from s2s.data.diagnosis.characters import HASHES, Characters

CANDIDATES = 256  # frequent trigrams of a side, of which features are chosen
MAX_FEATURES = 64
LINES_PER_FEATURE = 30  # fewer lines give fewer features
MIN_FEATURES = 16  # below which only lengths are used
MAX_SELECTED_FROM = 4096  # lines

Floats = NDArray[np.float64]
# [N, 2], digests of what a translation may keep: the numbers and placeholders of a line, 0 if it has none, and the text
Marks = NDArray[np.int64]
Table = NDArray[np.int16]  # [HASHES], the column of each trigram; -1 if it is no feature


@dataclass(frozen=True, slots=True)
class Sides:
    """Features of N lines of both sides; column 0 is the log of the length in characters, -1 if the line is blank."""

    source: NDArray[np.float32]  # [N, F]
    target: NDArray[np.float32]  # [N, F]
    source_marks: Marks
    target_marks: Marks

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Sides":
        return Sides(self.source[rows], self.target[rows], self.source_marks[rows], self.target_marks[rows])

    def shifted(self, shift: int, first: int = 0, end: int | None = None) -> "Sides":
        """Pair each target of the lines `first` to `end` with the source `shift` lines later, where there is one."""
        first = max(first, -shift)
        end = max(first, min(len(self) if end is None else end, len(self) - shift))
        sources, targets = slice(first + shift, end + shift), slice(first, end)
        return Sides(self.source[sources], self.target[targets], self.source_marks[sources], self.target_marks[targets])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which pairs [N] have no blank side."""
        return (self.source[:, 0] >= 0) & (self.target[:, 0] >= 0)

    @classmethod
    def join(cls, parts: "Sequence[Sides]") -> Self:
        """Return the lines of all parts."""
        names = ("source", "target", "source_marks", "target_marks")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The trigrams whose presence in a line is a feature, after its length."""

    source: Table
    target: Table

    @classmethod
    def select(
        cls, source: Sequence[Characters], target: Sequence[Characters], lines: NDArray[np.int64]
    ) -> Self | None:
        """Choose trigrams whose presence on one side goes with that of one on the other.

        `lines` [N, 2] are the numbers of source and target lines that are parallel. None if they are too few.
        """
        wanted = min(MAX_FEATURES, len(lines) // LINES_PER_FEATURE)
        if wanted < MIN_FEATURES:
            return None
        lines = lines[:MAX_SELECTED_FROM]
        tables = [_table(_most_frequent(side)) for side in (source, target)]
        found = [_presence(side, table) for side, table in zip((source, target), tables, strict=True)]
        standard = [_standardize(one[lines[:, column]]) for column, one in enumerate(found)]
        correlations = np.abs(standard[0].T @ standard[1])  # [M, M]
        best = [np.argsort(-correlations.max(axis=1 - side), kind="stable")[:wanted] for side in (0, 1)]
        return cls(*(_table(_most_frequent(side)[rows]) for side, rows in zip((source, target), best, strict=True)))


def _most_frequent(side: Sequence[Characters]) -> NDArray[np.int64]:
    counts = np.sum([np.bincount(one.trigrams, minlength=HASHES) for one in side], axis=0)
    return np.argsort(-counts, kind="stable")[:CANDIDATES]


def _table(trigrams: NDArray[np.int64]) -> Table:
    table = np.full(HASHES, -1, dtype=np.int16)
    table[trigrams] = np.arange(len(trigrams))
    return table


def _presence(side: Sequence[Characters], table: Table) -> NDArray[np.float32]:
    return np.concatenate([one.presence(table) for one in side])


def _standardize(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return columns with mean 0 and deviation 1; 0 for those that do not vary."""
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
