"""Filters: which training pairs are kept, which are held out, which are dropped and why.

They work on 8-byte digests of the texts, so what is remembered of a pair is a few bytes however long it is.
N training pairs, in the order in which they are read.
"""

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from s2s.data.ledger import Tally
from s2s.data.readers import Pair
from s2s.errors import DataError
from s2s.recipe.data import DataOptions, HeldOutOptions


class PairStatus(IntEnum):
    """What becomes of a training pair."""

    KEPT = 0
    VALIDATION = 1  # held out
    TEST = 2  # held out
    EMPTY = 3  # a side is empty or white space alone
    HELD_OUT_SOURCE = 4  # its source also stands in a held-out pair
    DUPLICATE = 5  # the same pair occurred before
    LENGTH = 6  # a side has fewer or more tokens than asked for
    RATIO = 7  # one side is too many times longer than the other


DROPPED = tuple(status for status in PairStatus if status >= PairStatus.EMPTY)


@dataclass(frozen=True)
class PairFingerprints:
    """What is remembered of each pair: digests of its source and of both sides [N], and whether a side is empty [N]."""

    sources: NDArray[np.uint64]
    pairs: NDArray[np.uint64]
    empty: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pairs)


def text_digest(*texts: str) -> int:
    """Eight bytes of texts; texts that differ in white space alone have the same."""
    content = "\n".join(" ".join(text.split()) for text in texts)
    return int.from_bytes(hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def is_empty(pair: Pair) -> bool:
    """Whether a side of the pair is empty or white space alone."""
    return not (pair.source.strip() and pair.target.strip())


def fingerprint(pairs: Iterable[Pair]) -> PairFingerprints:
    """Read pairs (normalised ones) once and remember what `classify` and `overlap` ask for."""
    sources, both, empty = array("Q"), array("Q"), bytearray()
    for pair in pairs:
        sources.append(text_digest(pair.source))
        both.append(text_digest(pair.source, pair.target))
        empty.append(is_empty(pair))
    return PairFingerprints(
        np.array(sources, dtype=np.uint64), np.array(both, dtype=np.uint64), np.frombuffer(empty, dtype=np.bool_)
    )


def classify(train: PairFingerprints, data: DataOptions) -> NDArray[np.uint8]:
    """Return the status [N] of each training pair as far as its text decides; lengths in tokens come later.

    Raises: DataError where there are too few different sources to hold out as many as asked for.
    """
    status = np.full(len(train), PairStatus.KEPT, dtype=np.uint8)
    status[train.empty] = PairStatus.EMPTY
    if isinstance(data, HeldOutOptions):
        _hold_out(train, status, data.hold_out_validation, data.hold_out_test)
    if data.drop_duplicates:
        kept = np.flatnonzero(status == PairStatus.KEPT)
        _, first = np.unique(train.pairs[kept], return_index=True)
        status[np.delete(kept, first)] = PairStatus.DUPLICATE
    return status


def _hold_out(train: PairFingerprints, status: NDArray[np.uint8], validation: int, test: int) -> None:
    """Hold out pairs in the order of their sources' digests, at most one pair of a source.

    The order depends on nothing but the texts, and the other pairs with a held-out source are dropped: no sentence to
    be translated stands in two splits.
    """
    wanted = validation + test
    if not wanted:
        return
    rows = np.flatnonzero(~train.empty)
    rows = rows[np.lexsort((train.pairs[rows], train.sources[rows]))]
    different, first = np.unique(train.sources[rows], return_index=True)
    if len(different) <= wanted:
        raise DataError(
            f"train has {len(different):,} different sources, too few to hold out {wanted:,} and train on the rest",
            "set data.hold_out_validation and data.hold_out_test lower",
        )
    chosen = rows[first[:wanted]]
    status[np.isin(train.sources, different[:wanted]) & ~train.empty] = PairStatus.HELD_OUT_SOURCE
    status[chosen[:test]] = PairStatus.TEST
    status[chosen[test:]] = PairStatus.VALIDATION


def classify_length(source: int, target: int, data: DataOptions) -> PairStatus:
    """Whether a training pair with sides of these lengths, in tokens, is kept."""
    shorter, longer = min(source, target), max(source, target)
    if shorter < data.min_length or longer > data.max_length:
        return PairStatus.LENGTH
    return PairStatus.RATIO if longer > shorter * data.max_ratio else PairStatus.KEPT


class Overlap:
    """Counts the sentences of another split that also stand in training: their source alone, and the whole pair."""

    def __init__(self, train: PairFingerprints, kept: NDArray[np.bool_]) -> None:
        self._sources = np.unique(train.sources[kept])
        self._pairs = np.unique(train.pairs[kept])

    def count(self, pairs: Iterable[Pair]) -> dict[str, dict[str, object]]:
        """Tallies of `pairs` (normalised ones) for the ledger; empty sources are passed over."""
        source, pair = Tally(), Tally()
        for sentence in pairs:
            if not sentence.source.strip():
                continue
            if _contains(self._sources, text_digest(sentence.source)):
                source.add(sentence)
            if _contains(self._pairs, text_digest(sentence.source, sentence.target)):
                pair.add(sentence)
        return {"source": source.as_dict(), "pair": pair.as_dict()}


def _contains(ordered: NDArray[np.uint64], value: int) -> bool:
    found = int(np.searchsorted(ordered, np.uint64(value)))
    return found < len(ordered) and int(ordered[found]) == value
