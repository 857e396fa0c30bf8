"""Decide which training pairs are kept, diagnose them, and train the tokenizer.

N: training pairs.
"""

import dataclasses
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.data.diagnosis import DatasetDiagnosis
from s2s.data.dropped import Tallies
from s2s.data.filters.selection import PairStatus, Statuses, classify
from s2s.data.ledger import REASONS, Finding
from s2s.data.mixed import require_tags, with_tags
from s2s.data.preparation.blocks import FingerprintBlocks, read_pairs, take_pairs
from s2s.data.preparation.collection import paused_collection
from s2s.data.preparation.plan import CHUNK, Plan
from s2s.data.preparation.records import read_record, verified_record, write_record
from s2s.errors import DataError
from s2s.io.atomic import atomic_writer, write_bytes
from s2s.io.json_values import validate
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import MAX_TEXTS, train_tokenizer, without_long_texts

log = logging.getLogger(__name__)

SEED = 1  # of the sample that the tokenizer is trained on


@dataclass(frozen=True, slots=True)
class Selection:
    """What was decided, besides the status of each pair."""

    alone: list[int]  # pairs that each filter would drop without those before it, filters that count tokens left out
    findings: list[Finding]


@paused_collection()
def select_pairs(plan: Plan) -> None:
    """Decide the status of each pair, diagnose the pairs and train the tokenizer, unless that was done before.

    Raises: DataError if no pair is left, or inputs have changed; VocabularySizeError.
    """
    parts = plan.parts
    if parts.selection_file.exists():
        return
    plan.check_inputs()
    sizes = parts.sizes()
    if not sum(sizes):
        raise plan.no_pairs("train", parts_tallies(plan).tally("train", "invalid").count)
    for number in range(len(sizes)):
        verified_record(parts.read(number, "json"))
    blocks = FingerprintBlocks(parts, len(sizes))
    status, alone = classify(blocks, plan.data, plan.data.all_filters())
    check_kept(plan, np.bincount(status))
    with atomic_writer(parts.status_file) as file:
        np.save(file, status)
    findings, model = _diagnose_and_train(plan, sizes, status)
    write_bytes(parts.tokenizer_file, model)
    selection = dataclasses.asdict(Selection(alone, findings))
    write_record(parts.selection_file, selection, parts.status_file, parts.tokenizer_file)


def read_selection(plan: Plan) -> Selection:
    """Return what was decided."""
    path = plan.parts.selection_file
    return validate(Selection, read_record(path), str(path))


def _diagnose_and_train(plan: Plan, sizes: list[int], status: Statuses) -> tuple[list[Finding], bytes]:
    """Diagnose the pairs while the tokenizer is trained, which another process does."""
    from threadpoolctl import threadpool_limits

    diagnosis = DatasetDiagnosis(plan.data)

    def diagnose(number: int) -> None:
        for pairs in read_pairs(plan.parts.read(number, "arrow")):
            diagnosis.add(plan.identified(pairs))

    pool = ThreadPoolExecutor(1)
    limits = threadpool_limits(1, "blas")  # NumPy's small products: threads that wait for more would slow training down
    try:
        waiting = [pool.submit(diagnose, number) for number in range(len(sizes))]
        model = plan.tokenizer_model or _train_tokenizer(plan, sizes, status)
        require_tags(Tokenizer(model), plan.data)
        for one in waiting:
            one.result()
    finally:
        pool.shutdown(cancel_futures=True)
        limits.restore_original_limits()
    return diagnosis.findings(), model


def _train_tokenizer(plan: Plan, sizes: list[int], status: Statuses) -> bytes:
    log.info(f"training a tokenizer of {plan.tokenizer.vocab_size:,} tokens")
    sides = 1 if plan.images else 2
    kept = np.flatnonzero(status == PairStatus.KEPT)
    if sides * len(kept) > MAX_TEXTS:
        log.info(f"the tokenizer is trained on a sample of {MAX_TEXTS:,} of {sides * len(kept):,} texts")
        kept = np.sort(np.random.default_rng(SEED).choice(kept, MAX_TEXTS // sides, replace=False, shuffle=False))
    options = with_tags(plan.tokenizer, plan.data)
    return train_tokenizer(without_long_texts(_texts(plan, sizes, kept)), options)


def _texts(plan: Plan, sizes: list[int], rows: NDArray[np.int64]) -> Iterator[tuple[str, str]]:
    """Yield the places and normalized texts of some pairs, the names of images left out."""
    ends = np.cumsum(sizes)
    for number, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
        inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)] - start
        for at in range(0, len(inside), CHUNK):
            for pair in plan.normalized(take_pairs(plan.parts.read(number, "arrow"), inside[at : at + CHUNK])):
                for text in [pair.target] if plan.images else [pair.source, pair.target]:
                    yield f"{pair.file}:{pair.line}", text


def check_kept(plan: Plan, statuses: NDArray[np.integer[Any]]) -> None:
    """Raise DataError naming the reasons if no training pair is kept, given the number of pairs by status."""
    if statuses[PairStatus.KEPT]:
        return
    tallies = parts_tallies(plan)
    counts = [(tallies.tally("train", reason).count, REASONS[reason]) for reason in ("invalid", "image")]
    names = [
        REASONS["empty"],
        REASONS["held_out_source"],
        *(f"{one.name}: {one.describe()}" for one in plan.data.all_filters()),
    ]
    counts += zip(statuses[PairStatus.EMPTY :].tolist(), names, strict=False)
    reasons = "; ".join(f"{count:,}: {reason}" for count, reason in counts if count)
    raise DataError(
        f"the corpus is empty: all training pairs were dropped ({reasons})",
        "check data.filter_preset and data.filters; see s2s explain data.filters",
    )


def parts_tallies(plan: Plan) -> Tallies:
    """Return what could not be read of the training pairs."""
    tallies = Tallies(plan.data.all_filters())
    for number in range(len(plan.parts.sizes())):
        tallies.merge(read_record(plan.parts.read(number, "json"))["dropped"])
    return tallies
