"""Plan batches by a token budget, in an order that is a pure function of (seed, epoch)."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def cut_batches(lengths: NDArray[np.integer], rows: Rows, batch_tokens: int) -> list[Rows]:
    """Cut `rows` [N] with `lengths` [N], in the order given, where sentences × longest would pass `batch_tokens`."""
    cuts, first, longest = [], 0, 0
    for index, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if (index + 1 - first) * longest > batch_tokens and index > first:
            cuts.append(index)
            first, longest = index, length
    return [part for part in np.split(rows, cuts) if len(part)]


def plan_batches(
    source: NDArray[np.int32], target: NDArray[np.int32], batch_tokens: int, seed: int, epoch: int
) -> list[Rows]:
    """Return the batches of an epoch, as rows of the corpus, in training order.

    source, target [N]: lengths in tokens without special ones. Sentences are shuffled, sorted by length (those of equal
    length stay shuffled), cut so that sentences × longest side fits `batch_tokens`, and the batches shuffled. A
    sentence longer than the budget is a batch of its own.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(source))
    order = order[np.lexsort((source[order], np.maximum(source, target)[order]))]
    batches = cut_batches(np.maximum(source, target)[order] + 1, order, batch_tokens)
    return [batches[index] for index in random.permutation(len(batches))]
