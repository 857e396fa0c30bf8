"""Pre-flight check: do everything that training does once, on the largest batches of the corpus."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from s2s.data.batching import Rows, plan_batches
from s2s.data.corpus import Corpus, Split
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.devices.memory import free_memory, peak_memory
from s2s.devices.runtime import configure, threads_for
from s2s.devices.select import Precision, choose_precision, resolve_device
from s2s.errors import ResourceError
from s2s.io.atomic import make_directory
from s2s.io.paths import directory_size
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.profile import count_parameters
from s2s.recipe.recipe import Recipe
from s2s.recipe.training import limit_parts
from s2s.registry.version import Version
from s2s.report.format import format_size
from s2s.text.tokenizer import Tokenizer
from s2s.training.checkpoint import Checkpoint, save_checkpoint
from s2s.training.distributed import DistributedContext
from s2s.training.memory import does_not_fit, memory_needed, micro_batch_that_fits
from s2s.training.optimizer import freeze, optimizer_tensors
from s2s.training.runs.finetune import load_parent
from s2s.training.runs.record import runs_directory
from s2s.training.step import Learner, train_step_within_memory

LINES = 3  # of validation, translated before training
TIMED = 5  # batches, spread over an epoch, whose speed is measured


@dataclass(frozen=True, slots=True)
class Preflight:
    """Measured cost of a training run; sizes are in bytes."""

    device: str
    precision: Precision
    threads: int
    parameters: int
    micro_batch_tokens: int  # 0: whole batches
    memory_estimate: int
    memory_peak: int  # of the trial
    memory_free: int
    checkpoint_bytes: int
    disk_needed: int
    disk_free: int
    batches: int  # per epoch
    epoch_seconds: float  # without validation
    total_seconds: float  # until stop_after, without validation
    lines: list[tuple[str, str]]  # sources and their translations before training


def check(recipe: Recipe, corpus: Corpus, device_name: str, parent: Version | None = None) -> Preflight:
    """Try the largest batches, a checkpoint and a translation, and leave nothing behind.

    Raises: ResourceError if memory or disk space does not suffice, before it is used up; UsageError if the recipe does
    not fit the parent.
    """
    device, train = resolve_device(device_name), corpus.split("train")
    torch.manual_seed(recipe.training.seed)
    network = build_model(recipe.model, corpus.ledger.tokenizer.tokens)
    size = count_parameters(network)
    threads, precision = threads_for(size), choose_precision(recipe.training.precision, device, size)
    configure(threads)
    micro, needed, free = _check_memory(recipe, corpus, device, precision)
    if parent:
        load_parent(network, parent)
    freeze(network, recipe.training.freeze)
    learner = Learner(network.to(device).train(), recipe.training, device, precision, DistributedContext())
    planned = plan_batches(
        train.source_lengths, train.target_lengths, recipe.training.batch_tokens, recipe.training.seed, epoch=0
    )
    for rows in _largest_batches(train, planned, recipe.training.batch_tokens):
        result = train_step_within_memory(learner, *train.tokens(rows), lr=0.0, micro_batch_tokens=micro)
        micro = result.micro_batch_tokens
    peak = peak_memory(device)
    seconds = _epoch_seconds(learner, train, planned, micro)
    average = network.weights() if recipe.training.ema else None
    saved = _save_and_read(Checkpoint(network.weights(), optimizer_tensors(learner.optimizer, network), {}, average))
    disk, disk_free = _check_disk(recipe, saved, size)
    return Preflight(
        device=device_name,
        precision=precision,
        threads=threads,
        parameters=size,
        micro_batch_tokens=micro,
        memory_estimate=needed,
        memory_peak=peak,
        memory_free=free,
        checkpoint_bytes=saved,
        disk_needed=disk,
        disk_free=disk_free,
        batches=len(planned),
        epoch_seconds=seconds,
        total_seconds=_total_seconds(recipe, train, len(planned), seconds),
        lines=_translate_lines(recipe, corpus, network, device),
    )


def _check_memory(recipe: Recipe, corpus: Corpus, device: torch.device, precision: Precision) -> tuple[int, int, int]:
    """Return the tokens of a micro-batch, and the bytes of memory estimated and free.

    Raises: ResourceError if the estimate exceeds what is free.
    """
    micro = recipe.training.micro_batch_tokens
    micro = micro_batch_that_fits(recipe, corpus, str(device), precision) if micro == "auto" else micro
    free = free_memory(device)
    needed = memory_needed(recipe, corpus.split("train"), micro or recipe.training.batch_tokens, precision)
    if needed > free:
        raise does_not_fit(needed, free)
    return micro, needed, free


def _check_disk(recipe: Recipe, checkpoint_bytes: int, parameters: int) -> tuple[int, int]:
    """Return the bytes that a run needs on disk and those free. Raises ResourceError if they do not suffice."""
    _, _, averaged = recipe.training.averaging.partition(":")
    needed = checkpoint_bytes * (recipe.training.keep_checkpoints + 2 + int(averaged or 0)) + 4 * parameters
    make_directory(runs_directory())
    free = shutil.disk_usage(runs_directory()).free
    if needed > free:
        raise ResourceError(
            f"the run needs {format_size(needed)} of disk, but only {format_size(free)} are free",
            "free some space, set S2S_HOME to another disk, or lower training.keep_checkpoints",
        )
    return needed, free


def _translate_lines(
    recipe: Recipe, corpus: Corpus, network: EncoderDecoder, device: torch.device
) -> list[tuple[str, str]]:
    """Return a few validation sources and their translations."""
    validation = corpus.split("validation")
    sources, _ = validation.texts(range(min(LINES, len(validation))))
    translator = Translator(PyTorchEngine(network.eval(), device), Tokenizer(corpus.tokenizer), recipe)
    outputs = [translation.text for translation in translator.translate(sources)]
    return list(zip(sources, outputs, strict=True))


def _largest_batches(train: Split, planned: list[Rows], tokens: int) -> list[Rows]:
    """Return the batches to test: as many of the longest sentences as fit, and the fullest batch of an epoch."""
    longest = np.maximum(train.source_lengths, train.target_lengths) + 1
    order = np.argsort(-longest, kind="stable")
    return [
        order[: max(1, tokens // int(longest[order[0]]))],
        max(planned, key=lambda rows: len(rows) * longest[rows].max()),
    ]


def _epoch_seconds(learner: Learner, train: Split, planned: list[Rows], micro_batch_tokens: int) -> float:
    """Estimate the duration of an epoch from the time of a few of its batches."""
    size = [int(train.target_lengths[rows].sum()) + len(rows) for rows in planned]
    some = [planned[index] for index in np.linspace(0, len(planned) - 1, min(TIMED, len(planned))).astype(int)]
    begun, done = time.perf_counter(), 0
    for rows in some:
        done += train_step_within_memory(
            learner, *train.tokens(rows), lr=0.0, micro_batch_tokens=micro_batch_tokens
        ).tokens
    return (time.perf_counter() - begun) * sum(size) / done


def _total_seconds(recipe: Recipe, train: Split, batches: int, epoch_seconds: float) -> float:
    """Return the duration of training until `stop_after`, given the batches and duration of an epoch."""
    limit, unit = limit_parts(recipe.training.stop_after)
    tokens = int(train.target_lengths.sum()) + len(train)
    epochs = {"updates": limit / batches, "tokens": limit / tokens, "epochs": limit}
    return 60.0 * limit if unit == "minutes" else epochs[unit] * epoch_seconds


def _save_and_read(checkpoint: Checkpoint) -> int:
    """Write a checkpoint, which is read back, and return its size in bytes. Raises ResourceError if they differ."""
    make_directory(runs_directory())
    with tempfile.TemporaryDirectory(dir=runs_directory(), prefix=".check-") as directory:
        return directory_size(save_checkpoint(Path(directory), 0, checkpoint))
