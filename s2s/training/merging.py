"""Choose which training pairs are joined to one example.

N: pairs of the corpus, M ≤ N: examples.
"""

import numpy as np
from numpy.typing import NDArray

from s2s.data.batching import Rows
from s2s.data.split import Split
from s2s.recipe.augmentation import AugmentationOptions


def merged_rows(
    split: Split, options: AugmentationOptions, max_length: int, random: np.random.Generator
) -> tuple[Rows, Rows]:
    """Return the rows of all pairs [N], and where those of each example end [M].

    A share `options.merge` of the examples are 2 to `merge_lines` pairs, fewer where a side would exceed `max_length`
    tokens or where a file ends. Each pair is part of one example.
    """
    count = len(split)
    if not options.merge:
        return np.arange(count), np.arange(1, count + 1)
    in_order = options.merge_with == "next"
    rows = np.arange(count) if in_order else random.permutation(count)
    files = split.file_numbers if in_order else np.zeros(count, dtype=np.int32)
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
        fits &= files[starts] == files[last]
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
