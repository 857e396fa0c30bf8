"""Make a corpus of the blocks that were encoded, and of validation and test."""

import functools
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from s2s.data.corpus import DROPPED, SCHEMA, shard_name, write_corpus_files
from s2s.data.dropped import DroppedPairs, dropped_pairs
from s2s.data.filters.fingerprints import Mask, PairFingerprints, count_overlap, fingerprint, is_empty
from s2s.data.filters.selection import PairStatus, Statuses
from s2s.data.image_store import IMAGES
from s2s.data.ledger import Ledger, Reason, SplitLedger, Tally, TokenizerLedger
from s2s.data.preparation.blocks import as_batch, read_fingerprints, take_pairs
from s2s.data.preparation.collection import paused_collection
from s2s.data.preparation.encoding import encode_batch
from s2s.data.preparation.plan import CHUNK, Plan
from s2s.data.preparation.reading import readable_pairs
from s2s.data.preparation.records import Record, verified_record
from s2s.data.preparation.selecting import check_kept, read_selection
from s2s.data.readers import Pair, in_chunks, split_given
from s2s.data.split_statistics import SplitStatistics
from s2s.data.split_writer import split_writer
from s2s.io.ahead import computed_ahead
from s2s.io.atomic import link_or_copy
from s2s.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

HELD_OUT = {"validation": PairStatus.VALIDATION, "test": PairStatus.TEST}


@paused_collection()
def assemble(plan: Plan, directory: Path) -> None:
    """Write all files of a corpus. Raises DataError if a split has no pairs."""
    with dropped_pairs(directory / DROPPED, plan.data.all_filters()) as dropped:
        assembly = Assembly(plan, directory, dropped)
        splits = {"train": assembly.train(), **{name: assembly.held_out(name) for name in HELD_OUT}}
    plan.check_inputs()
    tokenizer = assembly.tokenizer
    tokens = TokenizerLedger(tokenizer.size, tokenizer.digest, given=plan.tokenizer_model is not None)
    about = {"license": plan.data.license or None, "citation": plan.data.citation or None}
    ledger = Ledger(SCHEMA, plan.inputs, tokens, splits, plan.data.image_size, **about)
    write_corpus_files(directory, plan.key, tokenizer.model, ledger, assembly.digests)


class Assembly:
    """Writes the splits of a corpus to a directory; `digests` are those of the training pairs' files."""

    def __init__(self, plan: Plan, directory: Path, dropped: DroppedPairs) -> None:
        verified_record(plan.parts.selection_file)
        self._plan = plan
        self._directory = directory
        self._dropped = dropped
        self._blocks = range(len(plan.parts.sizes()))
        self.tokenizer = Tokenizer(plan.parts.tokenizer_file.read_bytes())
        self.digests: dict[str, str] = {}

    def train(self) -> SplitLedger:
        """Link the shards, and return what was counted."""
        plan, parts, selection = self._plan, self._plan.parts, read_selection(self._plan)
        statistics, alone = SplitStatistics(plan.data, self.tokenizer), np.array(selection.alone, dtype=np.int64)
        statuses = np.zeros(256, dtype=np.int64)  # pairs by status
        for number, (read, encoded) in self._records():
            shard = parts.encoded(number, "arrow")
            statistics.merge(encoded.values["statistics"])
            alone += np.array(encoded.values["alone"], dtype=np.int64)
            statuses += np.bincount(self._statuses(number), minlength=len(statuses))
            self._dropped.append(parts.read(number, "dropped"), read.values["dropped"])
            self._dropped.append(parts.encoded(number, "dropped"), encoded.values["dropped"])
            self.digests[shard_name(number)] = encoded.files[shard.name]
            link_or_copy(shard, self._directory / shard_name(number))
        if plan.images:
            self.digests[IMAGES] = verified_record(parts.images_file).files[IMAGES]
            link_or_copy(parts.path / IMAGES, self._directory / IMAGES)
        check_kept(plan, statuses)
        reasons: tuple[Reason, ...] = "empty", "held_out_source"
        tallies = self._dropped.tallies
        return self._ledger(
            "train",
            readable_pairs(plan),
            statistics,
            {reason: tallies.tally("train", reason) for reason in reasons},
            filters=tallies.filter_ledgers(alone.tolist()),
            held_out={name: int(statuses[status]) for name, status in HELD_OUT.items()},
            profile=statistics.profile(),
            findings=selection.findings,
        )

    def _records(self) -> Iterator[tuple[int, tuple[Record, Record]]]:
        """Yield each block with the records of what was read and what was encoded, while the next is verified."""
        parts = self._plan.parts

        def verify(number: int) -> tuple[Record, Record]:
            return verified_record(parts.read(number, "json")), verified_record(parts.encoded(number, "json"))

        with ThreadPoolExecutor(1) as pool:
            yield from computed_ahead(pool, verify, self._blocks)

    def held_out(self, name: str) -> SplitLedger:
        """Encode and write all pairs of validation or test, with their raw texts; compare them with those of train."""
        plan, dropped, empty = self._plan, self._dropped, Tally()
        statistics, readable = SplitStatistics(plan.data, self.tokenizer), Counter[str]()
        pairs = self._pairs(
            name, functools.partial(dropped.add_invalid, name), functools.partial(dropped.add_damaged, name)
        )
        with split_writer(self._directory / f"{name}.arrow") as writer:
            files: dict[str, int] = {}
            for chunk in in_chunks(pairs, CHUNK):
                readable.update(pair.file for pair in chunk)
                for pair in filter(is_empty, chunk):
                    empty.add(pair)
                for pair in chunk:
                    files.setdefault(pair.file, len(files))
                encoded = encode_batch(plan, self.tokenizer, as_batch(chunk), files, keep_raw=True)
                writer.write(encoded)
                statistics.add(encoded)
        if not statistics.pairs:
            raise plan.no_pairs(name, dropped.tallies.tally(name, "invalid").count)
        if empty.count:
            log.warning(f"{name}: {empty.count:,} pairs with an empty side (first: {empty.examples[0].line})")
        identified = itertools.chain.from_iterable(map(plan.identified, in_chunks(self._pairs(name), CHUNK)))
        other = fingerprint(identified, directions=plan.data.directions, of_images=plan.images is not None)
        overlap = count_overlap(self._kept(), other, self._pairs(name))
        return self._ledger(name, readable, statistics, {}, empty=empty, overlap=overlap)

    def _ledger(
        self,
        name: str,
        readable: Counter[str],
        statistics: SplitStatistics,
        dropped: dict[Reason, Tally],
        **counts: Any,
    ) -> SplitLedger:
        reasons: tuple[Reason, ...] = ("invalid", "image") if self._plan.images else ("invalid",)
        unread = {reason: self._dropped.tallies.tally(name, reason) for reason in reasons}
        return SplitLedger(
            read=readable.total() + sum(tally.count for tally in unread.values()),
            kept=statistics.pairs,
            files=list(readable),
            readable=dict(readable),
            datasets=statistics.datasets(),
            lengths=statistics.lengths(),
            fertility=statistics.fertility(),
            dropped=unread | dropped,
            **counts,
        )

    def _pairs(
        self,
        name: str,
        invalid: Callable[[str], None] = lambda _: None,
        damaged: Callable[[Pair], None] = lambda _: None,
    ) -> Iterator[Pair]:
        """Yield the pairs of validation or test, from their own files or held out from train."""
        if split_given(self._plan.data, name):
            yield from self._plan.read(name, invalid, damaged)
            return
        for number in self._blocks:
            rows = np.flatnonzero(self._statuses(number) == HELD_OUT[name])
            if len(rows):
                yield from take_pairs(self._plan.parts.read(number, "arrow"), rows)

    def _statuses(self, number: int) -> Statuses:
        """Return the status of each pair of a block."""
        status: Statuses = np.load(self._plan.parts.encoded(number, "npy"))
        return status

    def _kept(self) -> Iterator[tuple[PairFingerprints, Mask]]:
        """Yield the fingerprints of each block, and which of its pairs are kept."""
        for number in self._blocks:
            kept = self._statuses(number) == PairStatus.KEPT
            yield read_fingerprints(self._plan.parts.read(number, "arrow")), kept
