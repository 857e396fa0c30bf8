"""Cutting sentences into batches by a budget of tokens. Free of torch."""

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
