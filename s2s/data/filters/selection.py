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
SORTED = 1 << 21  # digests sorted at once


class PairStatus(IntEnum):
    """Status of a training pair; FILTERED + F is that of a pair dropped by filter F."""

    KEPT = 0
    VALIDATION = 1  # held out
    TEST = 2  # held out
    EMPTY = 3  # a side is empty or whitespace only
    HELD_OUT_SOURCE = 4  # its source also occurs in a held-out pair
    FILTERED = 5


def classify(
    train: Sequence[PairFingerprints], data: DataOptions, filters: Sequence[FilterOptions]
) -> tuple[Statuses, list[int]]:
    """Return the status [N] of each training pair as far as its text decides, and what each filter drops alone [F].

    `train`: the pairs in parts, of which one at a time is looked at. Filters that count tokens are left to
    `token_filter`: 0 for each.
    Raises: DataError if there are too few distinct sources to hold out validation and test pairs.
    """
    empty = np.concatenate([part.empty for part in train])
    status = np.where(empty, PairStatus.EMPTY, PairStatus.KEPT).astype(np.uint8)
    if isinstance(data, HeldOutOptions):
        hold_out(train, status, data.hold_out_validation, data.hold_out_test, all_pairs=data.image_size is not None)
    offered = status == PairStatus.KEPT
    alone = [0] * len(filters)
    for index, one in enumerate(filters):
        if one.counts_tokens:
            continue
        if isinstance(one, DuplicatesFilterOptions):
            digests = np.concatenate([part.digests(one.by) for part in train])
            alone[index] = int(np.count_nonzero(repeated(digests, offered)))
            drops = repeated(digests, status == PairStatus.KEPT)
        else:
            drops = offered & np.concatenate([part.dropped & (1 << index) > 0 for part in train])
            alone[index] = int(np.count_nonzero(drops))
        status[(status == PairStatus.KEPT) & drops] = PairStatus.FILTERED + index
    return status, alone


def repeated(digests: Digests, among: Mask) -> Mask:
    """Return which of the pairs `among` [N] have a digest that occurred before among them.

    Digests are compared in ranges, so that sorting takes little memory.
    """
    found = among.copy()
    ranges = np.linspace(0, 2.0**64, len(digests) // SORTED + 2)[1:-1].astype(np.uint64)
    for number in range(len(ranges) + 1):
        inside = among.copy()
        if number:
            inside &= digests >= ranges[number - 1]
        if number < len(ranges):
            inside &= digests < ranges[number]
        rows = np.flatnonzero(inside)
        found[rows[np.unique(digests[rows], return_index=True)[1]]] = False
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


def hold_out(
    train: Sequence[PairFingerprints], status: Statuses, validation: int, test: int, *, all_pairs: bool = False
) -> None:
    """Hold out pairs with as many sources as `validation` and `test` say, in the order of the sources' digests.

    The order depends only on the contents. One pair per source is held out, or with `all_pairs` all of them; others
    with a held-out source are dropped, so that no source occurs in two splits.
    """
    total = validation + test
    if not total:
        return
    sources = _smallest_sources(train, total)
    rows, found, pairs = _pairs_of(train, sources)
    rows = rows[np.lexsort((pairs, found))]
    firsts = np.unique(np.sort(found), return_index=True)[1]  # of each source, the pair with the smallest digest
    names = np.repeat([PairStatus.TEST, PairStatus.VALIDATION], [test, validation]).astype(np.uint8)
    if all_pairs:
        status[rows] = names[np.searchsorted(sources, np.sort(found))]
    else:
        status[rows] = PairStatus.HELD_OUT_SOURCE
        status[rows[firsts]] = names


def _smallest_sources(train: Sequence[PairFingerprints], count: int) -> Digests:
    """Return the `count` smallest digests of sources of pairs that are not empty. Raises DataError if all are taken."""
    smallest = np.zeros(0, dtype=np.uint64)
    for part in train:
        smallest = np.unique(np.concatenate([smallest, part.sources[~part.empty]]))[: count + 1]
    if len(smallest) <= count:
        raise DataError(
            f"train has {len(smallest):,} distinct sources, too few to hold out {count:,} and train on the rest",
            "lower data.hold_out_validation and data.hold_out_test",
        )
    return smallest[:count]


def _pairs_of(train: Sequence[PairFingerprints], sources: Digests) -> tuple[NDArray[np.int64], Digests, Digests]:
    """Return the rows of the pairs with some sources, and the digests of their sources and of both sides."""
    rows, found, pairs, start = [], [], [], 0
    for part in train:
        members = np.flatnonzero(np.isin(part.sources, sources) & ~part.empty)
        rows.append(members + start)
        found.append(part.sources[members])
        pairs.append(part.pairs[members])
        start += len(part)
    return np.concatenate(rows), np.concatenate(found), np.concatenate(pairs)
