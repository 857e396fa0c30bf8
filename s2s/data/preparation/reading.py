"""Read the training pairs and store them in blocks, with the fingerprints of the pairs."""

import functools
import itertools
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import xxhash

from s2s.data.dropped import dropped_pairs
from s2s.data.filters.fingerprints import fingerprint
from s2s.data.filters.text import text_filter
from s2s.data.preparation.blocks import as_batch, write_block
from s2s.data.preparation.collection import paused_collection
from s2s.data.preparation.plan import Plan
from s2s.data.preparation.records import read_record, write_record
from s2s.data.readers import Pair, split_given
from s2s.errors import DataError
from s2s.recipe.data import parts_of
from s2s.recipe.filters import DuplicatesFilterOptions

log = logging.getLogger(__name__)

BLOCK_CHARACTERS = 1 << 26  # in a block of long texts, which therefore has fewer pairs
FEW = 16  # pairs read together; each may have millions of characters
SECONDS = 30  # between two messages


@dataclass(frozen=True)
class Block:
    """Pairs that follow each other, and what could not be read among them."""

    pairs: list[Pair]
    invalid: list[str]  # `file:line`
    damaged: list[Pair]  # with a damaged image

    @functools.cached_property
    def batch(self) -> Any:
        """The pairs as a record batch of Arrow."""
        return as_batch(self.pairs)

    def digest(self) -> str:
        """Return a digest of everything."""
        damaged = (f"{pair.file}:{pair.line}" for pair in self.damaged)
        places = [*self.invalid, *damaged, *self.batch.column("file").dictionary.to_pylist()]
        contents = "\n".join(places).encode("utf-8", "surrogatepass"), self.batch.serialize()
        return " ".join(map(xxhash.xxh3_64_hexdigest, contents))


@paused_collection()
def read_shard(plan: Plan, shard: int, shards: int) -> None:
    """Read all training pairs, and store every block whose number modulo `shards` is `shard` and that is not stored.

    Raises: DataError if a pair is invalid, or if their number has changed since another shard read them;
    DamagedPartError.
    """
    parts = plan.parts
    sizes = parts.sizes() if parts.totals_file.exists() else None
    if sizes is None:
        _check_held_out(plan)
    elif not any(number % shards == shard for number in parts.unread()):
        return
    counts = []
    log.info("reading the training pairs")
    logged = time.monotonic()
    for number, block in enumerate(_blocks(plan)):
        counts.append(len(block.pairs))
        if time.monotonic() - logged > SECONDS:
            logged = time.monotonic()
            log.info(f"reading the training pairs: {sum(counts):,} done")
        if number % shards == shard and not _is_stored(plan, number, block):
            _store(plan, number, block)
    if sizes is not None and sizes != counts:
        raise DataError(f"{plan.names('train')} changed while it was read", "start again")
    write_record(parts.totals_file, {"blocks": counts})


def _check_held_out(plan: Plan) -> None:
    """Raise DataError if validation or test cannot be read or have no pairs, before train is read for a long time."""
    for name in ("validation", "test"):
        invalid: list[str] = []
        if split_given(plan.data, name) and not sum(1 for _ in plan.read(name, invalid.append, lambda _: None)):
            raise plan.no_pairs(name, len(invalid))


def _blocks(plan: Plan) -> Iterator[Block]:
    """Yield the training pairs in blocks, which depend on the pairs alone."""
    block, characters = Block([], [], []), 0

    def add_invalid(where: str) -> None:
        block.invalid.append(where)

    def add_damaged(pair: Pair) -> None:
        block.damaged.append(pair)

    pairs = plan.read("train", add_invalid, add_damaged)
    while some := [*itertools.islice(pairs, min(FEW, plan.block - len(block.pairs)))]:
        block.pairs.extend(some)
        characters += sum([len(pair.source) + len(pair.target) for pair in some])
        if len(block.pairs) == plan.block or characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = Block([], [], []), 0
    if block.pairs or block.invalid or block.damaged:
        yield block


def _is_stored(plan: Plan, number: int, block: Block) -> bool:
    """Return whether a block is stored; one of other pairs is not, which an input had while it was changed."""
    record = plan.parts.read(number, "json")
    return record.exists() and read_record(record)["contents"] == block.digest()


def _store(plan: Plan, number: int, block: Block) -> None:
    parts, filters = plan.parts, plan.data.all_filters()
    with dropped_pairs(parts.read(number, "dropped"), filters) as dropped:
        for where in block.invalid:
            dropped.add_invalid("train", where)
        for pair in block.damaged:
            dropped.add_damaged("train", pair)
    found = fingerprint(
        plan.identified(block.pairs),
        [[text_filter(one, part) for one in filters] for part in parts_of(plan.data)],
        [one.by for one in filters if isinstance(one, DuplicatesFilterOptions)],
        directions=plan.data.directions,
        of_images=plan.images is not None,
    )
    write_block(parts.read(number, "arrow"), block.batch, found)
    readable = Counter(pair.file for pair in block.pairs)
    values = {"contents": block.digest(), "readable": readable, "dropped": dropped.tallies.counts()}
    write_record(parts.read(number, "json"), values, parts.read(number, "arrow"), parts.read(number, "dropped"))


def readable_pairs(plan: Plan) -> Counter[str]:
    """Return the number of training pairs that were read from each file."""
    infos = (read_record(plan.parts.read(number, "json")) for number in range(len(plan.parts.sizes())))
    return sum((Counter(info["readable"]) for info in infos), Counter())
