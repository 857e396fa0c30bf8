"""Collect the pairs that one check has flagged: how many, where they are concentrated, and a few examples.

N: pairs of a window.
"""

from dataclasses import dataclass, field

import numpy as np

from s2s.data.diagnosis.window import Mask, Window
from s2s.data.ledger import EXAMPLES, Example, Extent, Finding, FindingKind

MIN_EVIDENCE = 50  # pairs that a check must have judged before it says anything
MIN_FLAGGED = 20  # of them, if they are common; MIN_EVIDENCE if they are only common in a stretch
DENSE = 0.6  # share of flagged pairs from which a stretch of lines is named


@dataclass(frozen=True, slots=True)
class Check:
    """When the pairs that a check flags are worth a warning, and how it is said."""

    kind: FindingKind
    share: float  # of the pairs that the check can judge; below it, only concentrated pairs are reported
    problem: str  # completes "123 of 1,000 pairs …"


@dataclass(slots=True)
class _Stretch:
    """Lines many of which are flagged."""

    file: str
    first: int
    last: int
    flagged: int
    window: int  # number of the window whose end it reaches, so that it may continue in the next; 0 if it reaches none


@dataclass(slots=True)
class Signal:
    """The pairs that a check has flagged."""

    check: Check
    judged: int = 0
    flagged: int = 0
    examples: list[Example] = field(default_factory=list)
    _stretches: list[_Stretch] = field(default_factory=list)
    _windows: int = 0

    def add(self, window: Window, flagged: Mask, judged: Mask | None = None) -> None:
        """Add the pairs of the next window [N]; `judged`: those that the check can judge, by default all."""
        self._windows += 1
        self.judged += len(window) if judged is None else int(np.count_nonzero(judged))
        rows = np.flatnonzero(flagged)
        if not len(rows):
            return
        self.flagged += len(rows)
        self.examples += [Example.of(window.pairs[row]) for row in rows[: EXAMPLES - len(self.examples)]]
        weights = np.where(flagged, 1.0, -DENSE / (1 - DENSE))
        if judged is not None:
            weights[~judged & ~flagged] = 0
        first, last = _densest(weights)
        self._locate(window, first, last, int(np.count_nonzero(flagged[first : last + 1])))

    def _locate(self, window: Window, first: int, last: int, flagged: int) -> None:
        """Remember a stretch of lines, or extend the last one by it; forget the last one if it was too short."""
        start, end = window.pairs[first], window.pairs[last]
        goes_on = self._windows if last >= len(window) * 3 // 4 else 0
        before = self._stretches[-1] if self._stretches else None
        if before and before.file == start.file and 0 < before.window == self._windows - 1 and first < len(window) // 4:
            before.last, before.window = end.line, goes_on
            before.flagged += flagged
            return
        if before and before.flagged < MIN_EVIDENCE:
            self._stretches.pop()
        self._stretches.append(_Stretch(start.file, start.line, end.line, flagged, goes_on))

    @property
    def extents(self) -> list[Extent]:
        """The lines in which flagged pairs are concentrated; none if they are common everywhere."""
        if self.flagged >= DENSE * self.judged:
            return []
        return [Extent(one.file, one.first, one.last) for one in self._stretches if one.flagged >= MIN_EVIDENCE]

    def finding(self) -> Finding | None:
        """Return what is worth a warning, or None."""
        check, extents = self.check, self.extents
        common = self.flagged >= max(MIN_FLAGGED, check.share * self.judged)
        if self.judged < MIN_EVIDENCE or not (common or extents):
            return None
        message = f"{self.flagged:,} of {self.judged:,} pairs {check.problem}{_where(extents)}"
        return Finding(check.kind, message, self.flagged, self.examples, extents)


def _densest(weights: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[int, int]:
    """Return the first and last row of the stretch with the largest sum of weights."""
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    last = int(np.argmax(sums[1:] - np.minimum.accumulate(sums[:-1])))
    return int(np.argmin(sums[: last + 1])), last


def _where(extents: list[Extent]) -> str:
    """Return which lines extents name: `, mostly in lines 1 to 90 of train.de and 2 other places`."""
    if not extents:
        return ""
    first = extents[0]
    more = f" and {len(extents) - 1:,} other places" if len(extents) > 1 else ""
    return f", mostly in lines {first.first:,} to {first.last:,} of {first.file}{more}"
