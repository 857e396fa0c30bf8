"""Choose which training pairs are joined to one example.

N: pairs of an epoch, M ≤ N: examples.
"""

import numpy as np
from numpy.typing import NDArray

from s2s.data.batching import Rows
from s2s.data.split import Split
from s2s.recipe.augmentation import AugmentationOptions


def merged_rows(
    split: Split, rows: Rows, options: AugmentationOptions, max_length: int, random: np.random.Generator
) -> tuple[Rows, Rows]:
    """Return the `rows` [N] of an epoch's pairs in another order, and where those of each example end [M].

    A share `options.merge` of the examples are 2 to `merge_lines` pairs of one dataset, fewer where a side would exceed
    `max_length` tokens, where a file ends or where `rows` leave out the next pair. Each pair is part of one example.
    """
    count = len(rows)
    if not options.merge:
        return rows, np.arange(1, count + 1)
    datasets = split.dataset_numbers
    if options.merge_with == "next":
        follows = (np.diff(rows) == 1) & (np.diff(split.file_numbers[rows]) == 0)
    else:
        rows = rows[random.permutation(count)]
        rows = rows[np.argsort(datasets[rows], kind="stable")]
        follows = np.ones(count - 1, dtype=np.bool_)
    follows &= np.diff(datasets[rows]) == 0
    runs = np.append(0, np.cumsum(~follows))  # pairs with the same number may be joined
    totals = [
        np.concatenate([[0], np.cumsum(lengths[rows], dtype=np.int64)])
        for lengths in (split.source_lengths, split.target_lengths)
    ]
    sizes = _sizes(count, options, random)
    starts = np.cumsum(sizes) - sizes
    joined = np.zeros(count, dtype=np.bool_)  # to the row before
    for step in range(1, options.merge_lines):
        starts, sizes = starts[sizes > step], sizes[sizes > step]
        last = starts + step
        fits = np.all([total[last + 1] - total[starts] <= max_length for total in totals], axis=0)
        fits &= runs[starts] == runs[last]
        starts, sizes = starts[fits], sizes[fits]
        joined[starts + step] = True
    return rows, np.append(np.flatnonzero(~joined)[1:], count)


def _sizes(count: int, options: AugmentationOptions, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw the number of pairs of each example, in random order; their sum is `count`."""
    share, lines = options.merge, options.merge_lines
    mean = (2 + lines) / 2  # of the examples of several pairs
    several = random.integers(2, lines + 1, round(share * count / (1 - share + share * mean)))
    several = several[np.cumsum(several) <= count]
    return random.permutation(np.concatenate([several, np.ones(count - several.sum(), dtype=np.int64)]))
