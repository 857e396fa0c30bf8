"""Prepare a corpus: read, filter, train the tokenizer, encode and store, or reuse what was prepared before.

The training side is read three times: to fingerprint it (which pairs are empty, held out or duplicates), to train the
tokenizer, and to encode it. Memory therefore grows by a few bytes per pair, however long the pairs are.

N: training pairs.
"""

import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from s2s.data.corpora import corpora_directory
from s2s.data.corpus import SCHEMA, SPLITS, Corpus, Encoded, SplitWriter, write_corpus_files
from s2s.data.corpus_key import corpus_key
from s2s.data.diagnosis import Diagnosis
from s2s.data.directories import creation_lock, new_directory
from s2s.data.dropped import DroppedPairs, dropped_pairs
from s2s.data.filters.fingerprints import Mask, PairFingerprints, count_overlap, fingerprint, is_empty
from s2s.data.filters.selection import PairStatus, Statuses, classify, token_filter
from s2s.data.filters.text import text_filter
from s2s.data.image_preparation import StoredImages, store_images
from s2s.data.ledger import (
    REASONS,
    Finding,
    Ledger,
    Reason,
    SplitLedger,
    Tally,
    TokenizerLedger,
    dropped_warning,
    overlap_warning,
)
from s2s.data.readers import Pair, read_split, source_digests, split_given
from s2s.data.split_builder import SplitBuilder
from s2s.errors import ArtefactError, DataError, UsageError
from s2s.io.ahead import computed_ahead
from s2s.io.paths import remove_tree
from s2s.recipe.data import DataOptions, GeneratorDataOptions
from s2s.recipe.filters import DuplicatesFilterOptions
from s2s.recipe.pairs import FileOptions
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.lines import normalize
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer, without_long_texts

log = logging.getLogger(__name__)

CHUNK = 4000  # pairs in memory while encoding
PROGRESS_SECONDS = 30  # between two messages
HELD_OUT = {"validation": PairStatus.VALIDATION, "test": PairStatus.TEST}
HELD_OUT_SPLITS: dict[int, str] = {status: name for name, status in HELD_OUT.items()}
T = TypeVar("T")


def prepare_corpus(
    data: DataOptions,
    tokenizer: TokenizerOptions,
    *,
    tokenizer_model: bytes | None = None,
) -> Corpus:
    """Prepare a corpus in `corpora/`, or return the one prepared before with the same inputs and options.

    The digests of all its files are verified; a damaged corpus is prepared anew. `tokenizer_model` replaces the
    tokenizer that would be trained.
    Raises: UsageError, DataError, ResourceError; ArtefactError if `tokenizer_model` is not a tokenizer.
    """
    inputs = {name: source_digests(data, name) for name in SPLITS}
    key = corpus_key(data, tokenizer, inputs, tokenizer_model)
    directory = corpora_directory() / key[:16]
    corpus = _open(directory)
    if corpus is None:
        with creation_lock(directory):
            corpus = _open(directory)  # another process may have prepared it meanwhile
            if corpus is None:
                remove_tree(directory)
                with new_directory(directory) as new:
                    build_corpus(new, data, tokenizer, inputs, key, tokenizer_model)
                corpus = Corpus.open(directory)
    if dropped := dropped_warning(corpus.ledger):
        log.info(dropped)
    if overlap := overlap_warning(corpus.ledger):
        log.warning(overlap)
    for finding in corpus.ledger.splits["train"].findings:
        log.warning(finding.message)
        for example in finding.examples:
            log.info(f"  {example}")
    return corpus


def _open(directory: Path) -> Corpus | None:
    """Open and verify the corpus in a directory; None if it is missing, and, with a warning, if it is damaged."""
    if not directory.is_dir():
        return None
    try:
        corpus = Corpus.open(directory)
        corpus.verify()
    except (ArtefactError, UsageError) as error:  # UsageError: there is no manifest
        log.warning("%s; it is prepared anew", error.message)
        return None
    return corpus


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    items = iter(items)
    while chunk := list(itertools.islice(items, CHUNK)):
        yield chunk


def build_corpus(
    directory: Path,
    data: DataOptions,
    options: TokenizerOptions,
    inputs: dict[str, dict[str, str]],
    key: str,
    tokenizer_model: bytes | None,
) -> None:
    """Write all files of a corpus. `inputs`: digests by split and file. Raises DataError if a split has no pairs."""
    with dropped_pairs(directory, data.all_filters()) as dropped:
        tokenizer, ledger = CorpusBuilder(data, options, directory, inputs, dropped).build(tokenizer_model)
    write_corpus_files(directory, key, tokenizer, ledger)


@dataclass
class CorpusBuilder:
    """Builds one corpus."""

    data: DataOptions
    options: TokenizerOptions
    directory: Path  # that it is written to
    inputs: dict[str, dict[str, str]]  # digests by split and file
    dropped: DroppedPairs
    images: StoredImages | None = None  # if sources are images
    held_out: dict[str, list[Pair]] = field(default_factory=lambda: {name: [] for name in HELD_OUT})  # from train

    def __post_init__(self) -> None:
        self.filters = self.data.all_filters()
        self.findings: list[Finding] = []  # about the training pairs

    def build(self, tokenizer_model: bytes | None) -> tuple[bytes, Ledger]:
        """Write the splits, and return the tokenizer and the ledger. Raises DataError if a split has no pairs."""
        if self.data.image_size:
            log.info("reading the images")
            named = (pair.source for name in SPLITS for pair in read_split(self.data, name))
            self.images = store_images(self.directory, self.data, named)
        train = self._fingerprint_train()
        if not len(train):
            raise self._no_pairs("train")
        status, alone = classify(train, self.data, self.filters)
        self._check_kept(status)
        tokenizer = Tokenizer(self._train_tokenizer(status) if tokenizer_model is None else tokenizer_model)
        splits = {"train": self._write_train(tokenizer, status, alone)}
        for name in HELD_OUT:
            splits[name] = self._write_held_out(tokenizer, name, train, status == PairStatus.KEPT)
        tokens = TokenizerLedger(tokenizer.size, tokenizer.digest, given=tokenizer_model is not None)
        self._check_inputs()
        about = {"license": self.data.license or None, "citation": self.data.citation or None}
        return tokenizer.model, Ledger(SCHEMA, self.inputs, tokens, splits, self.data.image_size, **about)

    def _fingerprint_train(self) -> PairFingerprints:
        """Read the training pairs once, diagnose them, and run the filters on their texts."""
        pairs = self._read("train", self.dropped.on_invalid("train"), self.dropped.on_damaged("train"))
        pairs = map(self._identified, _with_progress(pairs, "reading the training pairs"))
        diagnosis = Diagnosis(self.data.source_language, self.data.target_language)
        made = self.images or isinstance(self.data, GeneratorDataOptions)  # no text of people on both sides
        train = fingerprint(
            pairs if made else diagnosis.watch(pairs),
            [text_filter(one, self.data) for one in self.filters],
            [one.by for one in self.filters if isinstance(one, DuplicatesFilterOptions)],
            of_images=self.images is not None,
        )
        self.findings = diagnosis.findings()
        return train

    def _check_kept(self, status: Statuses) -> None:
        """Raise DataError naming the reasons if no training pair is kept, given the status [N] of each."""
        if (status == PairStatus.KEPT).any():
            return
        counts = [(tally.count, REASONS[reason]) for reason, tally in self._unread("train").items()]
        names = [
            REASONS["empty"],
            REASONS["held_out_source"],
            *(f"{one.name}: {one.describe()}" for one in self.filters),
        ]
        counts += zip(np.bincount(status)[PairStatus.EMPTY :].tolist(), names, strict=False)
        reasons = "; ".join(f"{count:,}: {reason}" for count, reason in counts if count)
        raise DataError(
            f"the corpus is empty: all training pairs were dropped ({reasons})",
            "check data.filter_preset and data.filters; see s2s explain data.filters",
        )

    def _check_inputs(self) -> None:
        """Raise DataError if an input has changed since its digest was computed."""
        if isinstance(self.data, FileOptions):
            for name in SPLITS:
                for file, digest in source_digests(self.data, name).items():
                    if digest != self.inputs[name][file]:
                        raise DataError(f"{file} changed while it was read", "start again")

    def _train_tokenizer(self, status: Statuses) -> bytes:
        log.info(f"training a tokenizer of {self.options.vocab_size:,} tokens")
        kept = (self._normalize(pair) for pair, known in self._with_status(status) if known == PairStatus.KEPT)
        texts = (
            (f"{pair.file}:{pair.line}", text)
            for pair in kept
            for text in ([pair.target] if self.images else [pair.source, pair.target])
        )
        return train_tokenizer(without_long_texts(texts), self.options)

    def _write_train(self, tokenizer: Tokenizer, status: Statuses, alone: list[int]) -> SplitLedger:
        """Encode and write the training pairs that are kept.

        Updates `status` [N], and `alone` [F], by what the filters drop that count tokens.
        """
        encode = functools.partial(self._encode_offered, tokenizer)
        with SplitWriter(self.directory, "train") as writer, ThreadPoolExecutor(1) as pool:
            split = SplitBuilder(writer, self.data, tokenizer)
            for (pairs, known), encoded in computed_ahead(pool, encode, self._train_chunks(status)):
                split.readable.update(pair.file for pair in pairs)
                offered = _is_offered(known)
                known[offered] = self._filter_tokens(encoded, known[offered], alone)
                split.add([*itertools.compress(encoded, known[offered] == PairStatus.KEPT)])
                for row in np.flatnonzero(known != PairStatus.KEPT):
                    self._put_aside(pairs[row], int(known[row]))
        others: tuple[Reason, ...] = "empty", "held_out_source"
        self._check_kept(status)
        return split.ledger(
            self._unread("train"),
            {reason: self.dropped.tally("train", reason) for reason in others},
            filters=self.dropped.filter_ledgers(alone),
            held_out={name: len(pairs) for name, pairs in self.held_out.items()},
            profile=split.profile(),
            findings=self.findings,
        )

    def _train_chunks(self, status: Statuses) -> Iterator[tuple[list[Pair], Statuses]]:
        """Yield the training pairs in chunks, with a view of their status [N]."""
        start = 0
        for chunk in _chunks(_with_progress(self._with_status(status), f"encoding {len(status):,} training pairs")):
            yield [pair for pair, _ in chunk], status[start : start + len(chunk)]
            start += len(chunk)

    def _encode_offered(self, tokenizer: Tokenizer, chunk: tuple[list[Pair], Statuses]) -> list[Encoded]:
        """Encode the pairs of a chunk that are neither empty nor held out."""
        pairs, known = chunk
        return self._encode(tokenizer, [*itertools.compress(pairs, _is_offered(known))])

    def _put_aside(self, pair: Pair, status: int) -> None:
        """Keep a held-out pair for its split, and count a dropped one."""
        if status in HELD_OUT_SPLITS:
            self.held_out[HELD_OUT_SPLITS[status]].append(pair)
        else:
            self.dropped.add(pair, status)

    def _write_held_out(self, tokenizer: Tokenizer, name: str, train: PairFingerprints, kept: Mask) -> SplitLedger:
        """Encode and write all pairs of validation or test, with their raw texts, and compare them with those of train.

        `kept` [N]: whether a training pair was kept.
        """
        empty, invalid, damaged = Tally(), self.dropped.on_invalid(name), self.dropped.on_damaged(name)
        with SplitWriter(self.directory, name) as writer:
            split = SplitBuilder(writer, self.data, tokenizer)
            for chunk in _chunks(self._pairs(name, invalid, damaged)):
                split.readable.update(pair.file for pair in chunk)
                for pair in filter(is_empty, chunk):
                    empty.add(pair)
                encoded = self._encode(tokenizer, chunk)
                split.add([item._replace(pair=pair) for item, pair in zip(encoded, chunk, strict=True)])
        if not split.kept:
            raise self._no_pairs(name)
        if empty.count:
            log.warning(f"{name}: {empty.count:,} pairs with an empty side (first: {empty.examples[0].line})")
        other = fingerprint(map(self._identified, self._pairs(name)), of_images=self.images is not None)
        overlap = count_overlap(train, kept, other, self._pairs(name))
        return split.ledger(self._unread(name), {}, empty=empty, overlap=overlap)

    def _encode(self, tokenizer: Tokenizer, pairs: list[Pair]) -> list[Encoded]:
        """Return the pairs, normalized, with their token ids."""
        pairs = list(map(self._normalize, pairs))
        if self.images:
            sources = [[self.images.rows[pair.source]] for pair in pairs]
        else:
            sources = tokenizer.encode([pair.source for pair in pairs])
        targets = tokenizer.encode([pair.target for pair in pairs])
        return list(map(Encoded, pairs, sources, targets))

    def _filter_tokens(self, encoded: list[Encoded], status: Statuses, alone: list[int]) -> Statuses:
        """Return the status of pairs by their lengths in tokens; those of an image and a caption by the caption's.

        Adds to `alone` what each of the filters drops.
        """
        targets = np.array([len(target) for _, _, target in encoded], dtype=np.int64)
        sources = targets if self.images else np.array([len(source) for _, source, _ in encoded], dtype=np.int64)
        for index, one in enumerate(self.filters):
            if one.counts_tokens:
                drops = token_filter(one, sources, targets)
                alone[index] += int(np.count_nonzero(drops))
                status[(status == PairStatus.KEPT) & drops] = PairStatus.FILTERED + index
        return status

    def _normalize(self, pair: Pair) -> Pair:
        """Return the pair with normalized texts; the name of an image stays as it is."""
        form = self.data.normalization
        source = pair.source if self.images else normalize(pair.source, form)
        return Pair(source, normalize(pair.target, form), pair.line, pair.file)

    def _identified(self, pair: Pair) -> Pair:
        """Return the normalized pair; in place of an image's name, what images of the same content share."""
        pair = self._normalize(pair)
        return self.images.by_content(pair) if self.images else pair

    def _read(
        self,
        name: str,
        invalid: Callable[[str], None] = lambda _: None,
        damaged: Callable[[Pair], None] = lambda _: None,
    ) -> Iterator[Pair]:
        """Yield the pairs of a split, without those whose image is damaged."""
        pairs = read_split(self.data, name, invalid)
        return self.images.intact(pairs, damaged) if self.images else pairs

    def _pairs(
        self,
        name: str,
        invalid: Callable[[str], None] = lambda _: None,
        damaged: Callable[[Pair], None] = lambda _: None,
    ) -> Iterator[Pair]:
        """Yield the pairs of validation or test, from their own files or held out from train."""
        if split_given(self.data, name):
            yield from self._read(name, invalid, damaged)
        else:
            yield from self.held_out[name]

    def _with_status(self, status: Statuses) -> Iterator[tuple[Pair, int]]:
        """Read the training pairs again, with their status [N]. Raises DataError if their number has changed."""
        try:
            yield from zip(self._read("train"), memoryview(status.data), strict=True)
        except ValueError as error:
            raise DataError(f"{self._names('train')} changed while it was read", "start again") from error

    def _unread(self, name: str) -> dict[Reason, Tally]:
        """Return the tallies of a split's pairs that could not be read."""
        reasons: tuple[Reason, ...] = ("invalid", "image") if self.images else ("invalid",)
        return {reason: self.dropped.tally(name, reason) for reason in reasons}

    def _names(self, name: str) -> str:
        return ", ".join(self.inputs[name])

    def _no_pairs(self, name: str) -> DataError:
        invalid = self.dropped.tally(name, "invalid").count
        dropped = f" ({invalid:,} invalid ones dropped)" if invalid else ""
        return DataError(f"the corpus is empty: {name} has no pairs{dropped} in {self._names(name)}")


def _is_offered(status: Statuses) -> Mask:
    """Return which pairs are offered to filters [N]: those neither empty nor held out."""
    return (status == PairStatus.KEPT) | (status >= PairStatus.FILTERED)


def _with_progress(items: Iterable[T], activity: str) -> Iterator[T]:
    """Yield the items; log `activity` at the start, and the count every half minute."""
    log.info(activity)
    logged = time.monotonic()
    for count, item in enumerate(items):
        if not count % CHUNK and time.monotonic() - logged > PROGRESS_SECONDS:
            logged = time.monotonic()
            log.info(f"{activity}: {count:,} done")
        yield item
