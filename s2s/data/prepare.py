"""Prepare a corpus, or reuse what was prepared before."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

from s2s.data.corpus import Corpus
from s2s.data.directories import creation_lock, new_directory, remove_directory, temporary_directory
from s2s.data.ledger import dropped_warning, overlap_warning
from s2s.data.preparation.assembly import assemble
from s2s.data.preparation.encoding import encode_shard
from s2s.data.preparation.engines import Engine, InProcess
from s2s.data.preparation.plan import Plan
from s2s.data.preparation.reading import read_shard
from s2s.data.preparation.records import DamagedPartError
from s2s.data.preparation.selecting import select_pairs
from s2s.errors import ArtefactError, DataError, ResourceError, UsageError
from s2s.recipe.data import DataOptions
from s2s.recipe.tokenizer import TokenizerOptions

log = logging.getLogger(__name__)

DONE = "the corpus is prepared"
USELESS = (DataError, UsageError, ArtefactError)  # errors that a retry with the same parts would raise again


def prepare_corpus(
    data: DataOptions,
    tokenizer: TokenizerOptions,
    *,
    tokenizer_model: bytes | None = None,
    engine: Engine | None = None,
) -> Corpus:
    """Prepare a corpus in `corpora/`, or return the one prepared before with the same inputs and options.

    The digests of its files are verified once; a damaged corpus is prepared anew. `tokenizer_model` replaces the
    tokenizer that would be trained. `engine` computes the steps that can be shared, by default in this process. What
    an interrupted preparation has done is not done again.
    Raises: UsageError, DataError, ResourceError; ArtefactError if `tokenizer_model` is not a tokenizer.
    """
    plan = Plan.make(data, tokenizer, tokenizer_model)
    corpus = _finished(plan)
    if corpus is None:
        with creation_lock(plan.directory):
            corpus = _open(plan.directory)  # another process may have prepared it meanwhile
            if corpus is None:
                _prepare(plan, engine or InProcess())
                corpus = Corpus.open(plan.directory)
    _report(corpus)
    return corpus


def prepare_shard(plan: Plan, shard: int, shards: int) -> str:
    """Do one shard's part of the first step that is not finished, and return what was done.

    Raises: DamagedPartError if what is prepared so far is damaged; see `prepare_corpus`.
    """
    if _finished(plan):
        return DONE
    try:
        with creation_lock(plan.directory, shared=True):
            if _open(plan.directory):  # another process may have prepared it meanwhile
                return DONE
            if plan.parts.selection_file.exists():
                encode_shard(plan, shard, shards)
                return "encoded"
            read_shard(plan, shard, shards)
            return "read"
    except USELESS:
        with contextlib.suppress(ResourceError), creation_lock(plan.directory, wait=False):  # no other shard works
            remove_directory(plan.parts.path, plan.directory)
        raise


def merge_shards(plan: Plan) -> Corpus | None:
    """Finish a step whose shards are all done; return the corpus if it is complete.

    Raises: UsageError if parts are missing; see `prepare_shard`.
    """
    if corpus := _finished(plan):
        return corpus
    with creation_lock(plan.directory):
        if corpus := _open(plan.directory):
            return corpus
        parts = plan.parts
        if not parts.totals_file.exists():
            raise UsageError("no shard has been read yet", "run s2s data prepare --shard 1/N to N/N first")
        with _useless_parts_removed(plan):
            selected = parts.selection_file.exists()
            missing = parts.unencoded() if selected else parts.unread()
        if missing:
            done = "encoded" if selected else "read"
            raise UsageError(
                f"{len(missing):,} blocks of pairs are not {done} yet, the first of them block {missing[0] + 1:,}",
                "run s2s data prepare with every --shard first",
            )
        with _useless_parts_removed(plan):
            if not selected:
                select_pairs(plan)
                return None
            _finish(plan)
    corpus = Corpus.open(plan.directory)
    _report(corpus)
    return corpus


def _prepare(plan: Plan, engine: Engine) -> None:
    """Do all steps that are not finished, or everything anew if something of those that are is damaged."""
    if plan.parts.path.exists():
        log.info(f"continuing the preparation of {plan.directory.name}")
        try:
            return _do_all_steps(plan, engine)
        except DamagedPartError as error:
            log.warning(f"{error.message}; the preparation starts again")
            plan = dataclasses.replace(plan)  # without what it has read of the parts
    return _do_all_steps(plan, engine)


def _do_all_steps(plan: Plan, engine: Engine) -> None:
    with _useless_parts_removed(plan):
        _ = plan.images  # stored once, before they are shared
        engine.run(read_shard, plan)
        select_pairs(plan)
        engine.run(encode_shard, plan)
        _finish(plan)


def _finish(plan: Plan) -> None:
    """Make the corpus, and remove the parts that it was made of."""
    remove_directory(plan.directory, plan.directory)
    with new_directory(plan.directory) as new:
        assemble(plan, new)
    remove_directory(plan.parts.path, plan.directory)


@contextlib.contextmanager
def _useless_parts_removed(plan: Plan) -> Iterator[None]:
    """Remove the parts if the block raises an error that a retry would raise again."""
    try:
        yield
    except USELESS:
        remove_directory(plan.parts.path, plan.directory)
        raise


def _report(corpus: Corpus) -> None:
    """Log what was dropped from a corpus, and what looks wrong with it."""
    if dropped := dropped_warning(corpus.ledger):
        log.info(dropped)
    if overlap := overlap_warning(corpus.ledger):
        log.warning(overlap)
    for name, count in corpus.ledger.splits["train"].datasets.items():
        if not count:
            log.warning(f"no training pairs of dataset {name} are kept")
    for finding in corpus.ledger.splits["train"].findings:
        log.warning(finding.message)
        for example in finding.examples:
            log.info(f"  {example}")


def _finished(plan: Plan) -> Corpus | None:
    """Open and verify the corpus if it is complete, and remove what a killed process has left of its preparation."""
    corpus = _open(plan.directory)
    if corpus and (plan.parts.path.exists() or temporary_directory(plan.directory).exists()):
        with contextlib.suppress(ResourceError, OSError), creation_lock(plan.directory):
            remove_directory(plan.parts.path, plan.directory)
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
