"""Bootstrap over the lines of a test set (Koehn 2004): corpus scores of resampled lines.

A corpus score is computed from sums of statistics of the lines (matches and lengths), which are extracted once. So a
resample costs one product of matrices, and all systems are scored on the same resamples.
N: lines; R: resamples; F: statistics of a line.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.metrics.scores import Headline, Reference, Scoring, check_counts, reference_streams

Floats = NDArray[np.float64]

SAMPLES = 1000
SEED = 12345
MAX_CELLS = 10_000_000  # resamples × lines in memory
CHUNK_CELLS = 2_000_000  # resamples × lines drawn at once


class Statistics(ABC):
    """Statistics of a system's lines, from sums of which its score is computed."""

    values: Floats  # [N, F]

    def score(self, lines: Sequence[int] | None = None) -> float:
        """Return the score of some lines, by default of all."""
        return self.scores_of(self.values[lines if lines is not None else slice(None)].sum(0)[None])[0]

    @abstractmethod
    def scores_of(self, sums: Floats) -> list[float]:
        """Return the score of each row of summed statistics [R, F]."""


class LineStatistics(Statistics):
    """What the corpus score of a system is computed from."""

    def __init__(
        self,
        outputs: Sequence[str],
        references: Sequence[Reference],
        metric: Headline = "bleu",
        scoring: Scoring | None = None,
    ) -> None:
        """Extract the statistics. Raises DataError if the numbers of lines differ, or are zero."""
        check_counts(outputs, references)
        self._scorer: Any = (scoring or Scoring()).scorer(metric)
        extracted = self._scorer._extract_corpus_statistics(list(outputs), reference_streams(references))
        self.values = np.array(extracted, np.float64)

    def scores_of(self, sums: Floats) -> list[float]:
        """Return the corpus score of each row of summed statistics [R, F]."""
        return [self._scorer._compute_score_from_stats(row).score for row in sums]


class LineValues(Statistics):
    """A score that is a ratio of sums over the lines, by default the mean of a value per line."""

    def __init__(self, values: Sequence[float], weights: Sequence[float] | None = None) -> None:
        """Take the values of N lines, and what their sum is divided by: the sum of N weights, by default ones."""
        divisor = np.ones(len(values)) if weights is None else np.array(weights, np.float64)
        self.values = np.stack([np.array(values, np.float64), divisor], 1)

    def scores_of(self, sums: Floats) -> list[float]:
        """Return the ratio of each row of two sums [R, 2]; 0 if nothing is weighed."""
        return [float(total / weight) if weight else 0.0 for total, weight in sums]


def resampled_scores(
    systems: Sequence[Statistics], lines: Sequence[int] | None = None, samples: int = SAMPLES
) -> Floats:
    """Return the scores [systems, R] of all systems on resamples of some lines, by default of all.

    Lines are drawn with replacement. Above 10,000 lines there are fewer resamples, but at least 100. The same lines
    give the same resamples.
    """
    chosen = lines if lines is not None else slice(None)
    columns = [system.values[chosen] for system in systems]
    together = np.concatenate(columns, 1)
    number = len(together)
    samples = min(samples, max(100, MAX_CELLS // number))
    sums = _resampled_sums(together, samples)
    edges = np.cumsum([own.shape[1] for own in columns])[:-1]
    scores = [system.scores_of(own) for system, own in zip(systems, np.split(sums, edges, axis=1), strict=True)]
    return np.array(scores)


def _resampled_sums(values: Floats, samples: int) -> Floats:
    """Return the sums [R, F] of the values [N, F] of resampled lines."""
    rng = np.random.default_rng(SEED)
    number = len(values)
    chunk = max(1, CHUNK_CELLS // number)
    parts = []
    for start in range(0, samples, chunk):
        rows = min(chunk, samples - start)
        drawn = rng.integers(number, size=(rows, number)) + number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)
        parts.append(counts.astype(np.float64) @ values)
    return np.concatenate(parts)
