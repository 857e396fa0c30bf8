"""Which pairs each epoch trains on: of a mixture, each dataset's share by its weight and the temperature.

An epoch has as many pairs as the corpus. Where a dataset has another number of pairs than its share, its pairs come
from an endless chain of passes over it, each in a random order of its own: they repeat evenly, and an epoch continues
where the one before stopped.

N: pairs of the corpus, D: datasets.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from s2s.data.batching import Rows
from s2s.errors import DataError
from s2s.recipe.data import DataOptions
from s2s.recipe.mixed import MixedDataOptions

PASS = 5  # random stream of the passes over a dataset, apart from those of epochs
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stage:
    """Epochs in which the shares of datasets stay the same."""

    first: int  # epoch, from 0
    counts: Counts  # [D], pairs of each dataset in an epoch


class Mixture:
    """The pairs of each epoch: a pure function of the corpus, the recipe and the epoch."""

    def __init__(self, datasets: NDArray[np.int32], data: DataOptions, seed: int) -> None:
        """Take the number of each pair's dataset [N].

        Raises: DataError if the corpus has no pairs of the datasets that a stage names.
        """
        mixed = data if isinstance(data, MixedDataOptions) else None
        self.names = [one.name for one in mixed.datasets] if mixed else [""]
        schedule = mixed.schedule if mixed else [(None, [1.0])]
        temperature = mixed.temperature if mixed else 1.0
        self._datasets = datasets
        self._seed = seed
        self._sizes = np.bincount(datasets, minlength=len(self.names))
        starts = [0, *(end for end, _ in schedule if end is not None)]
        self.stages = [
            Stage(start, counts_of_epoch(self._sizes, np.array(weights), temperature))
            for start, (_, weights) in zip(starts, schedule, strict=True)
        ]

    def rows(self, epoch: int) -> Rows:
        """Return the rows [N] of an epoch's pairs, in their order in the corpus; repeated ones again after all others.

        With the same counts as the corpus has, these are all rows.
        """
        times = np.zeros(len(self._datasets), dtype=np.int64)
        for dataset, (done, count) in enumerate(zip(self._drawn_before(epoch), self._counts(epoch), strict=True)):
            if count:
                times[self._datasets == dataset] = self._times(dataset, int(done), int(done + count))
        rows = np.repeat(np.arange(len(times)), times)
        if times.max(initial=0) <= 1:
            return rows
        earlier = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)  # occurrences of the same row
        return rows[np.argsort(earlier, kind="stable")]

    def describe(self, epoch: int) -> str | None:
        """Describe the shares of a stage that begins with an epoch; None if none does, or there is one dataset."""
        number = next((number for number, stage in enumerate(self.stages, 1) if stage.first == epoch), None)
        if number is None or len(self.names) == 1:
            return None
        counts = self.stages[number - 1].counts
        shares = (
            f"{name} {count / max(counts.sum(), 1):.1%} ({count / size if size else 0:.3g} times its pairs)"
            for name, count, size in zip(self.names, counts.tolist(), self._sizes.tolist(), strict=True)
        )
        stage = f"stage {number} of {len(self.stages)}, from epoch {epoch + 1}" if len(self.stages) > 1 else "datasets"
        return f"{stage}: {', '.join(shares)}"

    def _counts(self, epoch: int) -> Counts:
        return next(stage.counts for stage in reversed(self.stages) if stage.first <= epoch)

    def _drawn_before(self, epoch: int) -> Counts:
        """Return how many pairs of each dataset [D] earlier epochs have drawn."""
        ends = [min(stage.first, epoch) for stage in self.stages[1:]]
        spans = pairwise([0, *ends, epoch])
        return sum(
            ((end - start) * stage.counts for stage, (start, end) in zip(self.stages, spans, strict=True)),
            start=np.zeros_like(self._sizes),
        )

    def _times(self, dataset: int, start: int, end: int) -> Counts:
        """Return how often each pair of a dataset occurs among those from `start` to `end` of its passes."""
        size = int(self._sizes[dataset])
        times = np.full(size, end // size - start // size, dtype=np.int64)
        for position, sign in ((end, 1), (start, -1)):  # what is begun of a pass
            if begun := position % size:
                random = np.random.default_rng([self._seed, dataset, position // size, 0, PASS])
                times[random.permutation(size)[:begun]] += sign
        return times


def counts_of_epoch(sizes: Counts, weights: NDArray[np.float64], temperature: float) -> Counts:
    """Return how many pairs of each dataset [D] an epoch has: Σ `sizes` in all, ∝ weight × size^(1/temperature)."""
    shares = weights * np.power(sizes, 1 / temperature, where=sizes > 0, out=np.zeros(len(sizes)))
    if not shares.any():
        raise DataError("no training pairs are left of the datasets that a stage trains on", "see s2s data inspect")
    exact = shares / shares.sum() * sizes.sum()
    counts = np.floor(exact).astype(np.int64)
    most = np.argsort(counts - exact, kind="stable")  # the largest remainders first
    counts[most[: sizes.sum() - counts.sum()]] += 1
    return counts
