"""A score on buckets of the test lines, such as those of similar length."""

import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2s.metrics.resampling import Statistics, resampled_scores
from s2s.metrics.variance import estimate

DEFAULT_BOUNDS = (1, 20, 40, 80)  # lengths 1–19, 20–39, 40–79 and 80–, in characters
MIN_SHARE = 0.05  # of the lines in each default range; otherwise bounds are chosen from the lengths
SAMPLES = 500  # resamples of a bucket
FEWEST = 10  # minimum lines for an interval; a bootstrap over fewer is unreliable


@dataclass(frozen=True, slots=True)
class Bucket:
    """Scores on some lines of the test set."""

    label: str  # "20–39"
    count: int  # lines
    values: tuple[float, ...]  # one per system
    intervals: tuple[float, ...] = ()  # half the width of the 95 % interval of each value; empty if unknown


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A score on buckets of lines by a property."""

    metric: str  # "BLEU"
    by: str  # the property: "source length"
    buckets: Sequence[Bucket]
    unit: str = ""  # of the labels: "characters"
    counted: str = "sentences"  # what the buckets count

    @property
    def axis(self) -> str:
        """Label of the buckets: `source length in characters`, `number of objects`."""
        return f"{self.by} in {self.unit}" if self.unit and self.unit not in self.by else self.by


def score_buckets(lines: Mapping[str, Sequence[int]], systems: Sequence[Sequence[Statistics]]) -> list[Bucket]:
    """Return the score of each system on each bucket of lines that is not empty, with intervals unless it is small.

    `lines`: by label. `systems`: the statistics of each seed of each system; a score is the mean over the seeds.
    """
    buckets = []
    for label, members in lines.items():
        if not members:
            continue
        scores = [[one.score(members) for one in seeds] for seeds in systems]
        values = tuple(sum(own) / len(own) for own in scores)
        intervals: tuple[float, ...] = ()
        if len(members) >= FEWEST:
            samples = [resampled_scores(seeds, members, SAMPLES).mean(0) for seeds in systems]
            intervals = tuple(estimate(*both).interval for both in zip(scores, samples, strict=True))
        buckets.append(Bucket(label, len(members), values, intervals))
    return buckets


def lines_by_length(texts: Sequence[str], longest: int | None = None) -> dict[str, list[int]]:
    """Sort lines into ranges of their length in characters; bounds are chosen from the lengths.

    `longest`: length of the longest text in training; longer lines are a bucket of their own.
    """
    lengths = [len(text) for text in texts]
    within = [length for length in lengths if longest is None or length <= longest]
    edges = choose_bounds(within or lengths)
    edges[0] = min(edges[0], *lengths)  # empty lines belong to the first range
    found: dict[str, list[int]] = {_label(low, high): [] for low, high in zip(edges, [*edges[1:], None], strict=True)}
    labels = list(found)
    beyond = f"over {longest:,}, longer than any in training" if longest is not None else ""
    for line, length in enumerate(lengths):
        if longest is not None and length > longest:
            found.setdefault(beyond, []).append(line)
        else:
            found[labels[bisect_right(edges, length) - 1]].append(line)
    return {label: members for label, members in found.items() if members}


def _label(low: int, end: int | None) -> str:
    return str(low) if end == low + 1 else f"{low}–{'' if end is None else end - 1}"


def choose_bounds(lengths: Sequence[int]) -> list[int]:
    """Return the minimum lengths of up to four ranges: the default ones, or rounded quartiles if they do not suit."""
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
