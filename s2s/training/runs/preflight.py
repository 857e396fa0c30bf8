"""Pre-flight check: do everything that training does once, on the largest batches of the corpus."""

import contextlib
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from s2s.data.batching import Rows
from s2s.data.corpus import Corpus
from s2s.decoding.evaluation import TestLines
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.devices.memory import peak_memory
from s2s.devices.runtime import Precision, prepare, threads_for
from s2s.devices.select import choose_precision, resolve_device
from s2s.errors import ResourceError
from s2s.io.atomic import make_directory
from s2s.io.paths import directory_size
from s2s.models.build import build_model
from s2s.models.network import Network
from s2s.models.profile import count_parameters
from s2s.recipe.recipe import Recipe
from s2s.recipe.training import limit_parts
from s2s.registry.version import Version
from s2s.report.format import format_size
from s2s.text.tokenizer import Tokenizer
from s2s.training.batches import TrainingBatches
from s2s.training.checkpoint import Checkpoint, save_checkpoint
from s2s.training.distributed import DistributedContext
from s2s.training.examples import Examples
from s2s.training.memory import (
    does_not_fit,
    free_for_process,
    memory_needed,
    micro_batch_that_fits,
    try_largest_batches,
)
from s2s.training.optimizer import freeze, optimizer_tensors
from s2s.training.runs.finetune import load_parent
from s2s.training.runs.record import runs_directory
from s2s.training.sharding import gathered
from s2s.training.step import Learner, train_step_within_memory

log = logging.getLogger(__name__)

MAX_WARMUP = 1 / 3  # share of the updates beyond which warm-up is reported as too long
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


def check(
    recipe: Recipe,
    corpus: Corpus,
    device_name: str,
    parent: Version | None = None,
    distributed: DistributedContext | None = None,
) -> Preflight:
    """Try the largest batches, a checkpoint and a translation, and leave nothing behind. All processes call this.

    Raises: ResourceError if memory or disk space does not suffice, before it is used up; UsageError if the recipe does
    not fit the parent.
    """
    device, distributed = resolve_device(device_name), distributed or DistributedContext()
    batches = TrainingBatches(corpus.split("train"), Tokenizer(corpus.tokenizer), recipe)
    examples, planned = batches.examples(0), batches.of_epoch(0)
    torch.manual_seed(recipe.training.seed)
    network = build_model(recipe.model, corpus.ledger.tokenizer.tokens)
    size = count_parameters(network)
    threads = max(1, threads_for(size, recurrent=recipe.model.recurrent) // distributed.local_size)
    precision = choose_precision(recipe.training.precision, device, size)
    prepare(device, threads, precision)
    micro, needed, free = distributed.broadcast_from_main(
        lambda: _check_memory(recipe, examples, device, precision, distributed)
    )
    if parent:
        load_parent(network, parent)
    freeze(network, recipe.training.freeze)
    learner = Learner(network.train(), recipe.training, device, precision, distributed)
    micro = try_largest_batches(learner, examples, planned, micro)
    peak = peak_memory(device)
    seconds = _epoch_seconds(learner, examples, planned, micro)
    epochs = _count_epochs(recipe, examples, len(planned), seconds)
    _warn_of_long_warmup(recipe.training.warmup, epochs * len(planned))
    average = network.weights() if recipe.training.ema else None
    checkpoint = Checkpoint(network.weights(), optimizer_tensors(learner.optimizer, network), {}, average)
    saved = _save_and_read(checkpoint, distributed)
    disk, disk_free = _check_disk(recipe, saved, size)
    with gathered(network):
        lines = _translate_lines(recipe, corpus, network, device)
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
        total_seconds=epochs * seconds,
        lines=lines,
    )


def _check_memory(
    recipe: Recipe, examples: Examples, device: torch.device, precision: Precision, distributed: DistributedContext
) -> tuple[int, int, int]:
    """Return the tokens of a micro-batch, and the bytes of memory estimated and free.

    Raises: ResourceError if the estimate exceeds what is free, unless the largest batches are tried on a GPU.
    """
    micro, processes, local_size = recipe.training.micro_batch_tokens, distributed.size, distributed.local_size
    tried = micro == "auto" and device.type != "cpu" and processes == 1
    if tried:
        micro = 0
    elif micro == "auto":
        micro = micro_batch_that_fits(recipe, examples, str(device), precision, processes, local_size)
    free = free_for_process(str(device), local_size)
    tokens = micro or recipe.training.batch_tokens
    needed = memory_needed(recipe, examples, int(tokens), str(device), precision, processes)
    if needed > free and not tried:
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


def _translate_lines(recipe: Recipe, corpus: Corpus, network: Network, device: torch.device) -> list[tuple[str, str]]:
    """Return a few validation sources and their translations."""
    validation = corpus.split("validation")
    lines = TestLines.of(validation, LINES)
    translator = RecipeTranslator(PyTorchEngine(network.eval(), device), Tokenizer(corpus.tokenizer), recipe)
    outputs = [translation.text for translation in translator.translate(lines.sources)]
    return list(zip(lines.names, outputs, strict=True))


def _epoch_seconds(learner: Learner, examples: Examples, planned: list[Rows], micro_batch_tokens: int) -> float:
    """Estimate the duration of an epoch from the time of a few of its batches."""
    size = [int(examples.target_lengths[rows].sum()) + len(rows) for rows in planned]
    some = [planned[index] for index in np.linspace(0, len(planned) - 1, min(TIMED, len(planned))).astype(int)]
    _wait_for(learner.device)
    begun, done = time.perf_counter(), 0
    for rows in some:
        done += train_step_within_memory(
            learner, *examples.encoded(rows), lr=0.0, micro_batch_tokens=micro_batch_tokens
        ).tokens
    _wait_for(learner.device)
    return (time.perf_counter() - begun) * sum(size) / done


def _wait_for(device: torch.device) -> None:
    """Wait until a GPU has computed what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _count_epochs(recipe: Recipe, examples: Examples, batches: int, epoch_seconds: float) -> float:
    """Return the epochs until `stop_after`, given the batches and duration of an epoch."""
    limit, unit = limit_parts(recipe.training.stop_after)
    tokens = int(examples.target_lengths.sum()) + len(examples.target_lengths)
    per_epoch = {"updates": batches, "tokens": tokens, "epochs": 1, "minutes": epoch_seconds / 60}
    return limit / per_epoch[unit]


def _warn_of_long_warmup(warmup: int, updates: float) -> None:
    if warmup > MAX_WARMUP * updates:
        shown = f"{warmup:,} of about {updates:,.0f} updates"
        log.warning("training.warmup takes %s, more than a third; lower it", shown)


def _save_and_read(checkpoint: Checkpoint, distributed: DistributedContext) -> int:
    """Write a checkpoint, which is read back, and return its size in bytes. Raises ResourceError if they differ."""
    make_directory(runs_directory())
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(dir=runs_directory(), prefix=".check-")
        directory = distributed.all_gather(stack.enter_context(temporary))[0]
        size = directory_size(save_checkpoint(Path(directory), 0, checkpoint, distributed))
        return distributed.all_reduce_max(size)  # nobody removes the directory before all have seen it
