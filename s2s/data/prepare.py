"""Prepare a corpus: read, filter, train the tokenizer, encode and store, or reuse what was prepared before.

The training side is read three times: to fingerprint it (which pairs are empty, held out or duplicates), to train the
tokenizer, and to encode it; so memory grows by a few bytes per pair, however long the pairs are. N training pairs.
"""

import itertools
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2s.data.corpus import SCHEMA, SPLITS, Corpus, SplitWriter, write_corpus_files
from s2s.data.directories import creation_lock, new_directory
from s2s.data.filters import DROPPED, Overlap, PairStatus, classify, classify_length, fingerprint, is_empty
from s2s.data.ledger import Encoded, Lengths, Tally, dropped_warning, overlap_warning
from s2s.data.readers import Pair, read_split, source_digests, split_given
from s2s.errors import ArtefactError, DataError, UsageError
from s2s.io.digests import digest_bytes, digest_json
from s2s.io.paths import home_dir
from s2s.recipe.data import DataOptions, HeldOutOptions
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.lines import normalize
from s2s.text.tokenizer import Tokenizer, train_tokenizer

log = logging.getLogger(__name__)

PAIRS_AT_ONCE = 4000  # pairs in memory while encoding
SECONDS_BETWEEN_NOTES = 30
HELD_OUT = {"validation": PairStatus.VALIDATION, "test": PairStatus.TEST}
# of the data options, where things are and what they are called: the digests of contents stand for them
NAMES = {*SPLITS, "root", "hub", "hub_config", "generator", "source_language", "target_language"}
Statuses = NDArray[np.uint8]
T = TypeVar("T")


def prepare_corpus(
    data: DataOptions,
    tokenizer: TokenizerOptions,
    *,
    tokenizer_model: bytes | None = None,
) -> Corpus:
    """Prepare the corpus of these options in `corpora/`, or return the one prepared before.

    `tokenizer_model` is used in place of a tokenizer trained from `tokenizer`.
    Raises: UsageError, DataError, ResourceError; ArtefactError where `tokenizer_model` is no tokenizer.
    """
    inputs = {name: source_digests(data, name) for name in SPLITS}
    key = corpus_key(data, tokenizer, inputs, tokenizer_model)
    directory = home_dir() / "corpora" / key[:16]
    corpus = _prepared(directory)
    if corpus is None:
        with creation_lock(directory):
            corpus = _prepared(directory)  # by the process that was waited for
            if corpus is None:
                if directory.exists():
                    log.warning("the corpus %s is damaged: preparing it anew", directory)
                    shutil.rmtree(directory)
                with new_directory(directory) as new:
                    _Builder(data, tokenizer, new, inputs).build(key, tokenizer_model)
                corpus = Corpus.open(directory)
    if dropped := dropped_warning(corpus.ledger):
        log.info(dropped)
    if overlap := overlap_warning(corpus.ledger):
        log.warning(overlap)
    return corpus


def corpus_key(
    data: DataOptions,
    tokenizer: TokenizerOptions,
    inputs: dict[str, dict[str, str]],
    tokenizer_model: bytes | None = None,
) -> str:
    """Return the corpus key: a digest of the inputs' contents, the options that are not names, and the tokenizer."""
    contents: dict[str, Any] = {}
    for name in SPLITS:
        digests = inputs[name]
        lists = data.split(name).file_lists if isinstance(data, HeldOutOptions) else []
        in_order = [[digests[file] for file in files] for files in lists]
        contents[name] = in_order if any(in_order) else list(digests.values())
    options = data.model_dump(mode="json", exclude=NAMES)
    tokens = tokenizer.model_dump(mode="json") if tokenizer_model is None else digest_bytes(tokenizer_model)
    return digest_json({"schema": SCHEMA, "contents": contents, "data": options, "tokenizer": tokens})


def _prepared(directory: Path) -> Corpus | None:
    """Open the corpus in the directory; None if it is missing or damaged."""
    try:
        return Corpus.open(directory) if directory.is_dir() else None
    except (ArtefactError, UsageError):  # a directory without a manifest is the latter
        return None


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    items = iter(items)
    while chunk := list(itertools.islice(items, PAIRS_AT_ONCE)):
        yield chunk


class _Store:
    """One split as it is written: its pairs, their lengths and the files they come from."""

    def __init__(self, writer: SplitWriter) -> None:
        self._writer = writer
        self._lengths = Lengths()
        self._files: dict[str, int] = {}
        self.kept = 0

    def add(self, encoded: list[Encoded]) -> None:
        """Write pairs, with their texts as they are."""
        files = [self._files.setdefault(pair.file, len(self._files)) for pair, _, _ in encoded]
        self._writer.write(encoded, files)
        self._lengths.add(encoded)
        self.kept += len(encoded)

    def as_dict(self) -> dict[str, Any]:
        """For the ledger; to be asked for where pairs were kept."""
        return {"kept": self.kept, "files": list(self._files), "lengths": self._lengths.as_dict()}


@dataclass
class _Builder:
    """Builds one corpus in `directory`."""

    data: DataOptions
    options: TokenizerOptions
    directory: Path
    inputs: dict[str, dict[str, str]]
    invalid: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in SPLITS})

    def build(self, key: str, tokenizer_model: bytes | None) -> None:
        pairs = read_split(self.data, "train", self.invalid["train"].add_line)
        train = fingerprint(map(self._normalized, self._with_progress(pairs, "reading the training pairs")))
        if not len(train):
            raise self._no_pairs("train")
        status = classify(train, self.data)
        tokenizer = Tokenizer(self._train_tokenizer(status) if tokenizer_model is None else tokenizer_model)
        splits = {"train": self._write_train(tokenizer, status)}
        overlap = Overlap(train, status == PairStatus.KEPT)
        for name in HELD_OUT:
            splits[name] = self._write_whole(tokenizer, name, status)
            splits[name]["overlap"] = overlap.count(map(self._normalized, self._pairs(name, status)))
        tokens = {"tokens": tokenizer.size, "digest": tokenizer.digest, "given": tokenizer_model is not None}
        ledger = {"schema": SCHEMA, "inputs": self.inputs, "tokenizer": tokens, "splits": splits}
        write_corpus_files(self.directory, key, tokenizer.model, ledger)

    def _train_tokenizer(self, status: Statuses) -> bytes:
        log.info(f"training a tokenizer of {self.options.vocab_size:,} tokens")
        kept = (self._normalized(pair) for pair, known in self._with_statuses(status) if known == PairStatus.KEPT)
        return train_tokenizer((text for pair in kept for text in (pair.source, pair.target)), self.options)

    def _write_train(self, tokenizer: Tokenizer, status: Statuses) -> dict[str, Any]:
        """Encode and store the training pairs that are kept; what their lengths decide goes into `status` [N]."""
        tallies = {dropped: Tally() for dropped in DROPPED}
        with SplitWriter(self.directory, "train") as writer:
            store = _Store(writer)
            known_pairs = self._with_progress(self._with_statuses(status), f"encoding {len(status):,} training pairs")
            for chunk in _chunks(enumerate(known_pairs)):
                rows, pairs = [], []
                for row, (pair, known) in chunk:
                    if known == PairStatus.KEPT:
                        rows.append(row)
                        pairs.append(self._normalized(pair))
                    elif known in tallies:
                        tallies[known].add(pair)
                encoded = self._encoded(tokenizer, pairs)
                decided = [classify_length(len(source), len(target), self.data) for _, source, target in encoded]
                status[rows] = decided
                for pair, known in zip(pairs, decided, strict=True):
                    if known != PairStatus.KEPT:
                        tallies[known].add(pair)
                store.add([item for item, known in zip(encoded, decided, strict=True) if known == PairStatus.KEPT])
        dropped = {"invalid": self.invalid["train"], **{known.name.lower(): tally for known, tally in tallies.items()}}
        if not store.kept:
            raise _nothing_left(dropped)
        return {
            "read": len(status) + self.invalid["train"].count,
            "held_out": {name: int(np.count_nonzero(status == held)) for name, held in HELD_OUT.items()},
            "dropped": {name: tally.as_dict() for name, tally in dropped.items()},
            **store.as_dict(),
        }

    def _write_whole(self, tokenizer: Tokenizer, name: str, status: Statuses) -> dict[str, Any]:
        """Encode and store a split whose every line counts: raw texts, and tokens of the normalised ones."""
        empty = Tally()
        with SplitWriter(self.directory, name) as writer:
            store = _Store(writer)
            for chunk in _chunks(self._pairs(name, status, self.invalid[name].add_line)):
                for pair in filter(is_empty, chunk):
                    empty.add(pair)
                encoded = self._encoded(tokenizer, [self._normalized(pair) for pair in chunk])
                store.add([item._replace(pair=pair) for item, pair in zip(encoded, chunk, strict=True)])
        if not store.kept:
            raise self._no_pairs(name)
        if empty.count:
            first = empty.examples[0]["line"]
            log.warning(f"{name}: pairs with an empty side: {empty.count:,} (the first: {first})")
        invalid = self.invalid[name]
        return {
            "read": store.kept + invalid.count,
            "dropped": {"invalid": invalid.as_dict()},
            "empty": empty.as_dict(),
            **store.as_dict(),
        }

    def _with_progress(self, items: Iterable[T], doing: str) -> Iterator[T]:
        """Yield the items; log `doing` at the start, and the count every half minute."""
        log.info(doing)
        told = time.monotonic()
        for count, item in enumerate(items):
            if not count % PAIRS_AT_ONCE and time.monotonic() - told > SECONDS_BETWEEN_NOTES:
                told = time.monotonic()
                log.info(f"{doing}: {count:,} done")
            yield item

    def _encoded(self, tokenizer: Tokenizer, pairs: list[Pair]) -> list[Encoded]:
        sources = tokenizer.encode([pair.source for pair in pairs])
        targets = tokenizer.encode([pair.target for pair in pairs])
        return list(map(Encoded, pairs, sources, targets))

    def _normalized(self, pair: Pair) -> Pair:
        form = self.data.normalization
        return pair._replace(source=normalize(pair.source, form), target=normalize(pair.target, form))

    def _pairs(self, name: str, status: Statuses, invalid: Callable[[str], None] = lambda _: None) -> Iterator[Pair]:
        """Yield the pairs of validation or test, from their own files or held out from train."""
        if split_given(self.data, name):
            yield from read_split(self.data, name, invalid)
        else:
            yield from (pair for pair, known in self._with_statuses(status) if known == HELD_OUT[name])

    def _with_statuses(self, status: Statuses) -> Iterator[tuple[Pair, PairStatus]]:
        known = (PairStatus(value) for value in status)
        try:
            yield from zip(read_split(self.data, "train"), known, strict=True)
        except ValueError as error:
            raise DataError(f"{self._names('train')} changed while it was read", "start again") from error

    def _names(self, name: str) -> str:
        return ", ".join(self.inputs[name])

    def _no_pairs(self, name: str) -> DataError:
        invalid = self.invalid[name].count
        left_out = f" ({invalid:,} invalid ones left out)" if invalid else ""
        return DataError(f"the corpus is empty: {name} has no pairs{left_out} in {self._names(name)}")


def _nothing_left(dropped: dict[str, Tally]) -> DataError:
    counts = ", ".join(f"{name} {tally.count:,}" for name, tally in dropped.items() if tally.count)
    return DataError(
        f"the corpus is empty: no training pair is left; dropped: {counts}",
        "data.min_length, data.max_length and data.max_ratio decide which are kept; see s2s explain",
    )
