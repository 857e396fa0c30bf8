"""Scores by source length, which show the limits of a fixed-size encoding."""

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.metrics.scores import SCORE_NAMES, Headline, Reference, Scoring, check_counts, score_corpus

DEFAULT_BOUNDS = (1, 20, 40, 80)  # buckets 1–19, 20–39, 40–79 and 80–, in characters
MIN_SHARE = 0.05  # of the lines in each default bucket; otherwise bounds are chosen from the lengths


@dataclass(frozen=True, slots=True)
class LengthBucket:
    """Scores on the lines whose source length is in a range."""

    low: int
    high: int | None  # None: no upper bound
    count: int  # lines
    values: tuple[float, ...]  # one per system

    @property
    def label(self) -> str:
        """Label `20–39`, `80–` without an upper bound, or `1,000` if both bounds are equal."""
        if self.low == self.high:
            return f"{self.low:,}"
        return f"{self.low}–{'' if self.high is None else self.high}"


@dataclass(frozen=True, slots=True)
class LengthBuckets:
    """A score by source length, or by another size of the sources."""

    metric: str  # "BLEU"
    unit: str  # of the lengths: "characters"
    buckets: Sequence[LengthBucket]
    by: str = "source length"
    counted: str = "sentences"  # what the buckets count

    @property
    def axis(self) -> str:
        """Label of the lengths: `source length in characters`, `number of objects`."""
        return self.by if self.unit in self.by else f"{self.by} in {self.unit}"


def score_by_length(
    sources: Sequence[str],
    systems: Sequence[Sequence[str]],
    references: Sequence[Reference],
    bounds: Sequence[int] | None = None,
    scoring: Scoring | None = None,
    metric: Headline = "bleu",
) -> LengthBuckets:
    """Return the corpus score of each system in buckets by source length, without empty buckets.

    `bounds`: minimum lengths of the buckets in characters, ascending; by default they are chosen from the lengths.
    Raises: DataError if systems, sources and references differ in their number of lines, or have none.
    """
    check_counts(sources, references, "sources")
    for system in systems:
        check_counts(system, references)
    lengths = [len(source) for source in sources]
    edges = list(bounds or choose_bounds(lengths))
    edges[0] = min(edges[0], *lengths)  # empty lines belong to the first bucket
    members: list[list[int]] = [[] for _ in edges]
    for line, length in enumerate(lengths):
        members[bisect_right(edges, length) - 1].append(line)

    def score(hypotheses: Sequence[str], lines: Sequence[int]) -> float:
        own, theirs = [hypotheses[line] for line in lines], [references[line] for line in lines]
        return score_corpus(own, theirs, (metric,), scoring)[metric].value

    highs = [*(edge - 1 for edge in edges[1:]), None]
    buckets = [
        LengthBucket(low, high, len(lines), tuple(score(system, lines) for system in systems))
        for low, high, lines in zip(edges, highs, members, strict=True)
        if lines
    ]
    return LengthBuckets(SCORE_NAMES[metric], "characters", buckets)


def choose_bounds(lengths: Sequence[int]) -> list[int]:
    """Return the minimum lengths of up to four buckets: the default ones, or rounded quartiles if they do not suit."""
    shares = [0] * len(DEFAULT_BOUNDS)
    for length in lengths:
        shares[max(0, bisect_right(DEFAULT_BOUNDS, length) - 1)] += 1
    if min(shares) >= MIN_SHARE * len(lengths) or len(lengths) < 2:
        return list(DEFAULT_BOUNDS)
    quartiles = statistics.quantiles(lengths, n=4)
    for step in (10, 1):
        edges = sorted({step * round(quartile / step) for quartile in quartiles})
        edges = [edge for edge in edges if min(lengths) < edge <= max(lengths)]
        if len(edges) == 3:
            break
    return [1, *(edge for edge in edges if edge > 1)]
