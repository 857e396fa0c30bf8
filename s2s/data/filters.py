"""Filters: decide which training pairs are kept, held out or dropped.

Text filters work on 8-byte digests of the texts, so that each pair takes a few bytes of memory, however long it is.
N: training pairs, in the order in which they are read.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2s.data.ledger import Overlap, Tally
from s2s.data.readers import Pair
from s2s.errors import DataError
from s2s.recipe.data import DataOptions, HeldOutOptions

Mask = NDArray[np.bool_]
Pairs_contra = TypeVar("Pairs_contra", contravariant=True)


class PairStatus(IntEnum):
    """Status of a training pair."""

    KEPT = 0
    VALIDATION = 1  # held out
    TEST = 2  # held out
    EMPTY = 3  # a side is empty or whitespace only
    HELD_OUT_SOURCE = 4  # its source also occurs in a held-out pair
    DUPLICATE = 5  # the same pair occurred before
    LENGTH = 6  # a side has too few or too many tokens
    RATIO = 7  # one side is too many times longer than the other


DROPPED = tuple(status for status in PairStatus if status >= PairStatus.EMPTY)


@dataclass(frozen=True, slots=True)
class PairFingerprints:
    """Digests of N pairs."""

    sources: NDArray[np.uint64]  # [N], digest of the source
    pairs: NDArray[np.uint64]  # [N], digest of both sides
    empty: Mask  # [N], whether a side is empty

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """Lengths of N pairs in tokens."""

    shorter: NDArray[np.int64]  # [N], of the shorter side
    longer: NDArray[np.int64]  # [N], of the longer side


class Filter(Protocol, Generic[Pairs_contra]):
    """A reason to drop training pairs."""

    status: PairStatus  # of the pairs it drops

    def drops(self, pairs: Pairs_contra, kept: Mask) -> Mask:
        """Return which of N pairs to drop; those not in `kept` [N] are dropped or held out already."""
        ...


class EmptyFilter:
    """Drop pairs with an empty side."""

    status = PairStatus.EMPTY

    def drops(self, pairs: PairFingerprints, kept: Mask) -> Mask:
        """Return the pairs [N] with an empty side."""
        return pairs.empty


class DuplicateFilter:
    """Drop repeated pairs; the first one is kept."""

    status = PairStatus.DUPLICATE

    def drops(self, pairs: PairFingerprints, kept: Mask) -> Mask:
        """Return the pairs [N] that occurred before among the kept ones."""
        rows = np.flatnonzero(kept)
        _, first = np.unique(pairs.pairs[rows], return_index=True)
        repeated = kept.copy()
        repeated[rows[first]] = False
        return repeated


@dataclass(frozen=True, slots=True)
class LengthFilter:
    """Drop pairs that are too short or too long."""

    min_length: int  # tokens of the shorter side
    max_length: int  # tokens of the longer side
    status = PairStatus.LENGTH

    def drops(self, pairs: TokenLengths, kept: Mask) -> Mask:
        """Return the pairs [N] outside the limits."""
        return (pairs.shorter < self.min_length) | (pairs.longer > self.max_length)


@dataclass(frozen=True, slots=True)
class RatioFilter:
    """Drop pairs whose sides differ too much in length."""

    max_ratio: float  # of the longer to the shorter side
    status = PairStatus.RATIO

    def drops(self, pairs: TokenLengths, kept: Mask) -> Mask:
        """Return the pairs [N] above the maximum ratio."""
        return pairs.longer > pairs.shorter * self.max_ratio


def classify(train: PairFingerprints, data: DataOptions) -> NDArray[np.uint8]:
    """Return the status [N] of each training pair as far as its text decides; lengths in tokens are checked later.

    Raises: DataError if there are too few distinct sources to hold out validation and test pairs.
    """
    status = np.full(len(train), PairStatus.KEPT, dtype=np.uint8)
    apply_filters([EmptyFilter()], train, status)
    if isinstance(data, HeldOutOptions):
        hold_out(train, status, data.hold_out_validation, data.hold_out_test, all_pairs=data.image_size is not None)
    if data.drop_duplicates:
        apply_filters([DuplicateFilter()], train, status)
    return status


def classify_lengths(sources: Sequence[int], targets: Sequence[int], data: DataOptions) -> NDArray[np.uint8]:
    """Return the status [N] of training pairs with these lengths in tokens."""
    lengths = np.array([sources, targets], dtype=np.int64)
    status = np.full(len(sources), PairStatus.KEPT, dtype=np.uint8)
    filters: list[Filter[TokenLengths]] = [LengthFilter(data.min_length, data.max_length), RatioFilter(data.max_ratio)]
    apply_filters(filters, TokenLengths(lengths.min(axis=0), lengths.max(axis=0)), status)
    return status


def apply_filters(filters: Sequence[Filter[Pairs_contra]], pairs: Pairs_contra, status: NDArray[np.uint8]) -> None:
    """Run filters in order, and set the status [N] of the kept pairs that they drop."""
    for one in filters:
        kept = status == PairStatus.KEPT
        status[kept & one.drops(pairs, kept)] = one.status


def hold_out(
    train: PairFingerprints, status: NDArray[np.uint8], validation: int, test: int, *, all_pairs: bool = False
) -> None:
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


def text_digest(*texts: str) -> int:
    """Return an 8-byte digest of texts, the same for texts that differ only in whitespace."""
    content = "\n".join(" ".join(text.split()) for text in texts)
    return int.from_bytes(hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def is_empty(pair: Pair) -> bool:
    """Return whether a side of the pair is empty or whitespace only."""
    return not (pair.source.strip() and pair.target.strip())


def fingerprint(pairs: Iterable[Pair]) -> PairFingerprints:
    """Read normalized pairs once and return their digests."""
    sources, both, empty = array("Q"), array("Q"), bytearray()
    for pair in pairs:
        sources.append(text_digest(pair.source))
        both.append(text_digest(pair.source, pair.target))
        empty.append(is_empty(pair))
    return PairFingerprints(
        np.array(sources, dtype=np.uint64), np.array(both, dtype=np.uint64), np.frombuffer(empty, dtype=np.bool_)
    )


def count_overlap(train: PairFingerprints, kept: Mask, pairs: Iterable[Pair]) -> Overlap:
    """Count normalized pairs of another split that also occur among the kept training pairs; skip empty sources."""
    sources, both = np.unique(train.sources[kept]), np.unique(train.pairs[kept])
    overlap = Overlap(Tally(), Tally())
    for pair in pairs:
        if not pair.source.strip():
            continue
        if _contains(sources, text_digest(pair.source)):
            overlap.source.add(pair)
        if _contains(both, text_digest(pair.source, pair.target)):
            overlap.pair.add(pair)
    return overlap


def _contains(ordered: NDArray[np.uint64], value: int) -> bool:
    index = int(np.searchsorted(ordered, np.uint64(value)))
    return index < len(ordered) and int(ordered[index]) == value
