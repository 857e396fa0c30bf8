"""Decide the status of each training pair: kept, held out, or dropped and by which filter.

N: training pairs, in the order in which they are read. F: filters, in the order in which they run.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from s2s.data.filters.fingerprints import Digests, Mask, PairFingerprints
from s2s.errors import DataError
from s2s.recipe.data import DataOptions
from s2s.recipe.filters import DuplicatesFilterOptions, FilterOptions, LengthFilterOptions, RatioFilterOptions
from s2s.recipe.pairs import HeldOutOptions

Statuses = NDArray[np.uint8]
Lengths = NDArray[np.int64]


class PairStatus(IntEnum):
    """Status of a training pair; FILTERED + F is that of a pair dropped by filter F."""

    KEPT = 0
    VALIDATION = 1  # held out
    TEST = 2  # held out
    EMPTY = 3  # a side is empty or whitespace only
    HELD_OUT_SOURCE = 4  # its source also occurs in a held-out pair
    FILTERED = 5


def classify(
    train: PairFingerprints, data: DataOptions, filters: Sequence[FilterOptions]
) -> tuple[Statuses, list[int]]:
    """Return the status [N] of each training pair as far as its text decides, and what each filter drops alone [F].

    Filters that count tokens are left to `token_filter`: 0 for each.
    Raises: DataError if there are too few distinct sources to hold out validation and test pairs.
    """
    status = np.full(len(train), PairStatus.KEPT, dtype=np.uint8)
    status[train.empty] = PairStatus.EMPTY
    if isinstance(data, HeldOutOptions):
        hold_out(train, status, data.hold_out_validation, data.hold_out_test, all_pairs=data.image_size is not None)
    offered = status == PairStatus.KEPT
    alone = [0] * len(filters)
    for index, one in enumerate(filters):
        if one.counts_tokens:
            continue
        if isinstance(one, DuplicatesFilterOptions):
            alone[index] = int(np.count_nonzero(repeated(train.digests(one.by), offered)))
            drops = repeated(train.digests(one.by), status == PairStatus.KEPT)
        else:
            drops = offered & (train.dropped & (1 << index) > 0)
            alone[index] = int(np.count_nonzero(drops))
        status[(status == PairStatus.KEPT) & drops] = PairStatus.FILTERED + index
    return status, alone


def repeated(digests: Digests, among: Mask) -> Mask:
    """Return which of the pairs `among` [N] have a digest that occurred before among them."""
    rows = np.flatnonzero(among)
    _, first = np.unique(digests[rows], return_index=True)
    found = among.copy()
    found[rows[first]] = False
    return found


def token_filter(options: FilterOptions, sources: Lengths, targets: Lengths) -> Mask:
    """Return which pairs [N] a filter drops that counts tokens, given the lengths [N] of both sides."""
    shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
    match options:
        case LengthFilterOptions():
            return (shorter < options.min) | (longer > options.max)
        case RatioFilterOptions():
            return longer > shorter * options.max
    raise TypeError(f"not a filter that counts tokens: {options!r}")


def hold_out(train: PairFingerprints, status: Statuses, validation: int, test: int, *, all_pairs: bool = False) -> None:
    """Hold out pairs with as many sources as `validation` and `test` say, in the order of the sources' digests.

    The order depends only on the contents. One pair per source is held out, or with `all_pairs` all of them; others
    with a held-out source are dropped, so that no source occurs in two splits.
    """
    total = validation + test
    if not total:
        return
    rows = np.flatnonzero(~train.empty)
    rows = rows[np.lexsort((train.pairs[rows], train.sources[rows]))]
    distinct, first = np.unique(train.sources[rows], return_index=True)
    if len(distinct) <= total:
        raise DataError(
            f"train has {len(distinct):,} distinct sources, too few to hold out {total:,} and train on the rest",
            "lower data.hold_out_validation and data.hold_out_test",
        )
    for sources, firsts, name in (
        (distinct[:test], first[:test], PairStatus.TEST),
        (distinct[test:total], first[test:total], PairStatus.VALIDATION),
    ):
        members = np.isin(train.sources, sources) & ~train.empty
        status[members] = name if all_pairs else PairStatus.HELD_OUT_SOURCE
        status[rows[firsts]] = name
