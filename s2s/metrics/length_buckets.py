"""Figures by the length of the source sentence: where a summary of fixed size shows."""

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.metrics.scores import check_counts, score_corpus

USUAL = (1, 20, 40, 80)  # the buckets 1–19, 20–39, 40–79 and 80–, in characters
SPARSE = 0.05  # a usual bucket with a smaller share of the lines says little: bounds are then taken from the lengths


@dataclass(frozen=True, slots=True)
class Bucket:
    """The lines whose source is `low` to `high` long (no upper bound: None), and each system's figure on them."""

    low: int
    high: int | None
    count: int
    values: tuple[float, ...]

    @property
    def label(self) -> str:
        """`20–39`, `80–` where there is no upper bound, `1,000` where both are the same."""
        if self.low == self.high:
            return f"{self.low:,}"
        return f"{self.low}–{'' if self.high is None else self.high}"


@dataclass(frozen=True, slots=True)
class ByLength:
    """A figure by source length: what it is (`BLEU`), what lengths are counted in (`characters`), the buckets."""

    figure: str
    unit: str
    buckets: Sequence[Bucket]


def bleu_by_length(
    sources: Sequence[str],
    systems: Sequence[Sequence[str]],
    references: Sequence[str],
    bounds: Sequence[int] | None = None,
) -> ByLength:
    """Corpus BLEU of each system's N hypotheses in buckets by source length; buckets without lines are left out.

    `bounds` are the least lengths of the buckets, in characters and ascending; without them, they suit the lengths.
    Raises: DataError where a system, the sources or the references differ in their number of lines, or have none.
    """
    check_counts(sources, references, "sources")
    for system in systems:
        check_counts(system, references)
    lengths = [len(source) for source in sources]
    edges = list(bounds or choose_bounds(lengths))
    edges[0] = min(edges[0], *lengths)  # empty lines have their place too
    members: list[list[int]] = [[] for _ in edges]
    for line, length in enumerate(lengths):
        members[bisect_right(edges, length) - 1].append(line)
    highs = [*(edge - 1 for edge in edges[1:]), None]
    buckets = [
        Bucket(low, high, len(lines), tuple(_bleu(system, references, lines) for system in systems))
        for low, high, lines in zip(edges, highs, members, strict=True)
        if lines
    ]
    return ByLength("BLEU", "characters", buckets)


def choose_bounds(lengths: Sequence[int]) -> list[int]:
    """Least lengths of up to four buckets: the usual ones, or where these do not suit, quartiles in round numbers."""
    shares = [0] * len(USUAL)
    for length in lengths:
        shares[max(0, bisect_right(USUAL, length) - 1)] += 1
    if min(shares) >= SPARSE * len(lengths) or len(lengths) < 2:
        return list(USUAL)
    quartiles = statistics.quantiles(lengths, n=4)
    for step in (10, 1):
        edges = sorted({step * round(quartile / step) for quartile in quartiles})
        edges = [edge for edge in edges if min(lengths) < edge <= max(lengths)]
        if len(edges) == 3:
            break
    return [1, *(edge for edge in edges if edge > 1)]


def _bleu(hypotheses: Sequence[str], references: Sequence[str], lines: Sequence[int]) -> float:
    score = score_corpus([hypotheses[line] for line in lines], [references[line] for line in lines], ("bleu",))
    return score["bleu"].value
