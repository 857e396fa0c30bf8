"""What is remembered of each pair in a first pass: digests of its texts, and which filters drop it.

N: pairs, in the order in which they are read.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import xxhash
from numpy.typing import NDArray

from s2s.data.filters.text import TextFilter, letters_only
from s2s.data.ledger import Overlap, Tally
from s2s.data.readers import Pair, in_chunks

CHUNK = 50  # pairs handled together; one character beyond Latin-1 makes all of them slower
Mask = NDArray[np.bool_]
Digests = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class PairFingerprints:
    """Digests of N pairs."""

    sources: Digests  # [N], digest of the source
    letters: Digests  # [N], digest of the letters of the source
    pairs: Digests  # [N], digest of both sides
    empty: Mask  # [N], whether a side is empty
    dropped: NDArray[np.uint32]  # [N], bit F is set if filter F drops the pair because of its text
    others: dict[str, Digests] = field(default_factory=dict)  # [N], of what else filters of duplicates compare

    def __len__(self) -> int:
        return len(self.pairs)

    def digests(self, by: str) -> Digests:
        """Return the digests [N] of what a filter of duplicates compares."""
        return {"source": self.sources, "pair": self.pairs, **self.others}[by]


def fingerprint(
    pairs: Iterable[Pair],
    filters: Sequence[Sequence[TextFilter | None]] = (),
    compared: Iterable[str] = (),
    *,
    directions: Sequence[tuple[str, ...]] = ((),),
    of_images: bool = False,
) -> PairFingerprints:
    """Read normalized pairs once and return their digests, and which of `filters` drop them.

    `filters` and `directions` have an item for each dataset: its filters, and what pairs must also share to be
    duplicates, such as a target language. `compared`: what filters of duplicates compare: `pair`, `source`, `target` or
    `letters`. With `of_images`, a source names an image, and filters see the target on both sides.
    """
    active = {
        dataset: [(1 << index, drops) for index, drops in enumerate(own) if drops is not None]
        for dataset, own in enumerate(filters)
    }
    sources, letters, both = array("Q"), array("Q"), array("Q")
    dropped, empty = array("I"), bytearray()
    alike = {"pair"} if any(directions) else {"source", "pair"}  # digests that are there anyway
    others = {by: array("Q") for by in compared if by not in alike}
    for chunk in in_chunks(pairs, CHUNK):
        source = [without_spaces(pair.source) for pair in chunk]
        target = [without_spaces(pair.target) for pair in chunk]
        source_letters = source if of_images else letters_only(source)
        direction = [["\n".join(directions[pair.dataset]) for pair in chunk]] if any(directions) else []
        sources.extend(text_digests(source))
        letters.extend(text_digests(source_letters))
        both.extend(text_digests(source, target, *direction))
        empty.extend([not (one and other) for one, other in zip(source, target, strict=True)])
        for by, digests in others.items():
            compare = {"source": [source], "target": [target]}.get(by) or [source_letters, letters_only(target)]
            digests.extend(text_digests(*compare, *direction))
        for pair in chunk:
            own, seen = active.get(pair.dataset), pair.target if of_images else pair.source
            dropped.append(sum(bit for bit, drops in own if drops(seen, pair.target)) if own else 0)
    return PairFingerprints(
        np.frombuffer(sources, dtype=np.uint64),
        np.frombuffer(letters, dtype=np.uint64),
        np.frombuffer(both, dtype=np.uint64),
        np.frombuffer(empty, dtype=np.bool_),
        np.frombuffer(dropped, dtype=np.uint32),
        {by: np.frombuffer(digests, dtype=np.uint64) for by, digests in others.items()},
    )


def without_spaces(text: str) -> str:
    """Return a text without white space at its ends, and with single spaces inside."""
    if text.isprintable() and "  " not in text and text[:1] != " " != text[-1:]:  # no white space but single spaces
        return text
    return " ".join(text.split())


def text_digests(*columns: Iterable[str]) -> list[int]:
    """Return 8-byte digests of the rows of columns of texts without line ends."""
    texts = columns[0] if len(columns) == 1 else map("\n".join, zip(*columns, strict=True))
    return [xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) for text in texts]


def is_empty(pair: Pair) -> bool:
    """Return whether a side of the pair is empty or whitespace only."""
    return not (pair.source.strip() and pair.target.strip())


def count_overlap(
    train: Iterable[tuple[PairFingerprints, Mask]], other: PairFingerprints, pairs: Iterable[Pair]
) -> Overlap:
    """Count the pairs of another split that also occur among kept training pairs; skip empty sources.

    `train`: parts of N training pairs and which of them are kept [N]. `other` are the fingerprints of `pairs`, which
    are read once.
    """
    overlap = Overlap(Tally(), Tally(), Tally())
    sides = {"sources": overlap.source, "letters": overlap.letters, "pairs": overlap.pair}
    common = {name: _Common(getattr(other, name)) for name in sides}
    for part, kept in train:
        for name, found in common.items():
            found.add(getattr(part, name)[kept])
    occurring = [(tally, common[name].mask()) for name, tally in sides.items()]
    for row, pair in enumerate(pairs):
        for tally, occurs in occurring:
            if occurs[row] and pair.source.strip():
                tally.add(pair)
    return overlap


class _Common:
    """Finds which of some digests occur among others."""

    def __init__(self, wanted: Digests) -> None:
        self._wanted = wanted
        self._ordered = np.unique(wanted)
        self._starts = np.zeros(1 << 16, dtype=np.bool_)  # which first two bytes occur: few pairs have one of them
        self._starts[self._ordered >> 48] = True
        self._found = np.zeros(len(self._ordered), dtype=np.bool_)

    def add(self, digests: Digests) -> None:
        digests = digests[self._starts.take(digests >> 48)]
        at = np.minimum(np.searchsorted(self._ordered, digests), len(self._ordered) - 1)
        self._found[at[self._ordered[at] == digests]] = True

    def mask(self) -> Mask:
        """Return which of the digests wanted were added."""
        return self._found[np.searchsorted(self._ordered, self._wanted)]
