"""Lines of another kind than most: headings between sentences, and lines that hold a whole document.

N: pairs of a window.
"""

from collections import Counter

import numpy as np

from s2s.data.diagnosis.signals import MIN_EVIDENCE
from s2s.data.diagnosis.window import Mask, Window
from s2s.data.ledger import EXAMPLES, Example, Finding

USUAL = 0.95  # share of pairs that end with punctuation from which others are remarkable
# Both sides of a heading together have at most this share of the median length. In Multi30k, where up to 5 % of a side
# lack final punctuation, one of 87,000 pairs (three languages) is so short.
SHORT = 1 / 3
PERCENT = 95  # of the pairs have usual lengths
FAR = 10  # times the usual length
MIN_LONG = 1000  # characters
ONE_SIDED = 3  # times the length of the other side; paragraphs that are long on both sides are parallel


def headings(window: Window) -> tuple[Mask, Mask]:
    """Return which pairs [N] look like headings, and which can be judged: all or, if headings are usual, none."""
    open_ends = window.source.open_ends, window.target.open_ends
    finished = np.count_nonzero(~open_ends[0] & ~open_ends[1])
    if len(window) < MIN_EVIDENCE or finished < USUAL * len(window):
        nothing = np.zeros(len(window), dtype=np.bool_)
        return nothing, nothing
    lengths = window.lengths.sum(axis=1)
    short = lengths <= SHORT * np.median(lengths)
    return open_ends[0] & open_ends[1] & short & window.whole, np.ones(len(window), dtype=np.bool_)


class LongLines:
    """Finds pairs with a side far longer than the other and than those of the rest."""

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()  # in characters, of the longer side of every pair
        self._one_sided: Counter[int] = Counter()  # of those above MIN_LONG whose other side is far shorter
        self._longest: list[tuple[int, Example]] = []  # of them

    def add(self, window: Window) -> None:
        """Add the pairs of the next window."""
        longer, shorter = window.lengths.max(axis=1), window.lengths.min(axis=1)
        self._lengths.update(longer.tolist())
        rows = np.flatnonzero((longer > MIN_LONG) & (longer > ONE_SIDED * shorter)).tolist()
        self._one_sided.update(longer[rows].tolist())
        found = [(int(longer[row]), Example.of(window.pairs[row])) for row in rows]
        self._longest = sorted(self._longest + found, key=lambda one: -one[0])[:EXAMPLES]

    def finding(self) -> Finding | None:
        """Return the pairs that are far longer than the rest, or None."""
        if self._lengths.total() < MIN_EVIDENCE:
            return None
        usual = self._percentile()
        limit = max(MIN_LONG, FAR * usual)
        count = sum(pairs for length, pairs in self._one_sided.items() if length > limit)
        if not count:
            return None
        longest = [(length, example) for length, example in self._longest if length > limit]
        places = ", ".join(f"{length:,} in {example.line}" for length, example in longest)
        message = (
            f"{count:,} of {self._lengths.total():,} pairs have a side far longer than the other and than the rest "
            f"({PERCENT} % have at most {usual:,} characters): {places}"
        )
        return Finding("long", message, count, [example for _, example in longest])

    def _percentile(self) -> int:
        """Return the length that PERCENT of the pairs do not exceed."""
        lengths = sorted(self._lengths)
        pairs = np.cumsum([self._lengths[length] for length in lengths])
        return lengths[int(np.searchsorted(pairs, PERCENT / 100 * pairs[-1]))]
