"""Encode the training pairs that are kept, block by block, and store them as shards of the corpus.

N: training pairs. F: filters.
"""

import functools
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from s2s.data.dropped import dropped_pairs
from s2s.data.filters.fingerprints import Mask
from s2s.data.filters.selection import PairStatus, Statuses, token_filter
from s2s.data.mixed import tagged
from s2s.data.preparation.blocks import as_pairs, read_batches
from s2s.data.preparation.collection import paused_collection
from s2s.data.preparation.plan import Plan
from s2s.data.preparation.records import verified_record, write_record
from s2s.data.split_statistics import SplitStatistics
from s2s.data.split_writer import EncodedPairs, split_writer
from s2s.io.ahead import computed_ahead
from s2s.io.atomic import atomic_writer
from s2s.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)


@paused_collection()
def encode_shard(plan: Plan, shard: int, shards: int) -> None:
    """Encode every block whose number modulo `shards` is `shard` and that is not encoded yet."""
    due = [number for number in plan.parts.unencoded() if number % shards == shard]
    if due:
        verified_record(plan.parts.selection_file)
        tokenizer = Tokenizer(plan.parts.tokenizer_file.read_bytes())
        files = {file: number for number, file in enumerate(plan.parts.files())}
        with ThreadPoolExecutor(1) as pool:
            for done, number in enumerate(due):
                log.info(f"encoding the training pairs: block {done + 1:,} of {len(due):,}")
                BlockEncoder(plan, tokenizer, files, number).encode(pool)


class BlockEncoder:
    """Encodes the pairs of one block."""

    def __init__(self, plan: Plan, tokenizer: Tokenizer, files: dict[str, int], number: int) -> None:
        """`files`: the numbers of the files of all training pairs."""
        self._plan = plan
        self._tokenizer = tokenizer
        self._files = files
        self._number = number
        self._filters = plan.data.all_filters()
        self._alone = [0] * len(self._filters)  # what filters drop that count tokens, without those before them
        self._tag_lengths = np.array([len(tokens) for tokens in tokenizer.encode(plan.data.tags)], dtype=np.int64)
        self._statistics = SplitStatistics(plan.data, tokenizer)

    def encode(self, pool: ThreadPoolExecutor) -> None:
        """Write the block's pairs, dropped pairs, statuses and, last, what was counted; `pool` has one thread."""
        path = functools.partial(self._plan.parts.encoded, self._number)
        verified_record(self._plan.parts.read(self._number, "json"))
        status = self._statuses()
        with dropped_pairs(path("dropped"), self._filters) as dropped, split_writer(path("arrow")) as writer:
            for (batch, known), encoded in computed_ahead(pool, self._encode_offered, self._batches(status)):
                offered = _is_offered(known)
                known[offered] = self._filter_tokens(encoded, known[offered])
                kept = encoded.select(known[offered] == PairStatus.KEPT)
                writer.write(kept)
                self._statistics.add(kept)
                rows = np.flatnonzero(known != PairStatus.KEPT)
                for pair, one in zip(as_pairs(batch.take(rows)), known[rows], strict=True):
                    dropped.add(pair, int(one))
        with atomic_writer(path("npy")) as file:
            np.save(file, status)
        counts: dict[str, Any] = {
            "statistics": self._statistics.counts(),
            "dropped": dropped.tallies.counts(),
            "alone": self._alone,
        }
        write_record(path("json"), counts, path("arrow"), path("dropped"), path("npy"))

    def _statuses(self) -> Statuses:
        """Return the status of each pair of the block, as far as its text decides."""
        sizes = self._plan.parts.sizes()
        start = sum(sizes[: self._number])
        every: Statuses = np.load(self._plan.parts.status_file, mmap_mode="r")
        return every[start : start + sizes[self._number]].copy()

    def _batches(self, status: Statuses) -> Iterator[tuple[Any, Statuses]]:
        """Yield the pairs in batches, with a view of their statuses."""
        start = 0
        for batch in read_batches(self._plan.parts.read(self._number, "arrow")):
            yield batch, status[start : start + len(batch)]
            start += len(batch)

    def _encode_offered(self, batch: tuple[Any, Statuses]) -> EncodedPairs:
        """Encode the pairs of a batch that are neither empty nor held out."""
        pairs, known = batch
        return encode_batch(self._plan, self._tokenizer, pairs.filter(_is_offered(known)), self._files)

    def _filter_tokens(self, encoded: EncodedPairs, status: Statuses) -> Statuses:
        """Return the status of pairs by their lengths in tokens, tags left out; those of captions by the caption's."""
        sources, targets = encoded.lengths()
        sources -= self._tag_lengths[encoded.datasets]
        if self._plan.data.image_size:
            sources = targets
        for index, one in enumerate(self._filters):
            if one.counts_tokens:
                drops = token_filter(one, sources, targets)
                self._alone[index] += int(np.count_nonzero(drops))
                status[(status == PairStatus.KEPT) & drops] = PairStatus.FILTERED + index
        return status


def encode_batch(
    plan: Plan, tokenizer: Tokenizer, batch: Any, files: Mapping[str, int], *, keep_raw: bool = False
) -> EncodedPairs:
    """Return raw pairs with their tags and token ids; with `keep_raw`, texts are normalized for the token ids only.

    `files`: the numbers of the files.
    """
    raw = batch.column("source").to_pylist(), batch.column("target").to_pylist()
    datasets = batch.column("dataset").to_pylist()
    sources, targets = plan.normalized_texts(*raw)
    sources = tagged(sources, datasets, plan.data.tags)
    rows = [[plan.images.rows[name]] for name in sources] if plan.images else tokenizer.encode(sources)
    tokens = rows, tokenizer.encode(targets)
    if keep_raw:
        sources, targets = tagged(raw[0], datasets, plan.data.tags), raw[1]
    return EncodedPairs.of(batch, sources, targets, tokens, files)


def _is_offered(status: Statuses) -> Mask:
    """Return which pairs are offered to filters [N]: those neither empty nor held out."""
    return (status == PairStatus.KEPT) | (status >= PairStatus.FILTERED)
