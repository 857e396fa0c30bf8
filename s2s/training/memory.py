"""Memory: check that the largest possible batch of a corpus fits the device, before training fills it."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from torch import nn

from s2s.data.batching import Rows, cut_batches
from s2s.devices.memory import free_memory
from s2s.devices.runtime import DeviceKind, Precision
from s2s.devices.select import resolve_device
from s2s.errors import ResourceError
from s2s.models.device_memory import share
from s2s.models.dry_run import DryAutocast
from s2s.models.interface import Objective
from s2s.models.profile import (
    BatchShape,
    TrainingMemory,
    meta_model,
    training_cost,
    training_memory,
)
from s2s.models.sizes import Sizes
from s2s.recipe.recipe import Recipe
from s2s.report.format import format_size
from s2s.training.examples import Examples
from s2s.training.sharding import recompute_blocks
from s2s.training.step import Learner, train_step_within_memory

SAFETY = 0.8  # usable fraction of the free memory: the estimate does not include what libraries allocate


def worst_shapes(examples: Examples, tokens: int) -> list[BatchShape]:
    """Return the largest batch of the longest examples, and the largest of all, with `tokens` computed at once."""
    lengths = np.sort(np.maximum(examples.source_lengths, examples.target_lengths) + 1)[::-1]
    parts = cut_batches(lengths, np.arange(len(lengths)), tokens)
    shapes = [BatchShape(len(part), int(lengths[part[0]]), image_size=examples.image_size) for part in parts]
    return list(dict.fromkeys([shapes[0], max(shapes, key=lambda shape: shape.sentences * shape.positions)]))


def shapes_at_once(recipe: Recipe, examples: Examples, tokens: int, processes: int) -> list[BatchShape]:
    """Return the largest batches that each of several processes computes at once.

    Those of a micro-batch of `tokens` if it is smaller than a process's share of a batch, else those of the share.
    """
    if tokens < share(recipe, processes):
        return worst_shapes(examples, tokens)
    whole = worst_shapes(examples, recipe.training.batch_tokens)
    return [replace(shape, sentences=-(-shape.sentences // processes)) for shape in whole]


def memory_needed(
    recipe: Recipe, examples: Examples, tokens: int, device: str, precision: Precision, processes: int = 1
) -> int:
    """Return the bytes that training adds to each of several processes, which compute at most `tokens` at once.

    An estimate of weights, gradients, optimizer and activations, from the shapes alone (see `models/profile.py`).
    """
    network = meta_model(recipe)
    if recipe.training.recompute:
        recompute_blocks(network, lambda: (nullcontext(), DryAutocast()))
    objective = Objective.of(recipe.training)
    shapes = shapes_at_once(recipe, examples, tokens, processes)
    kind: DeviceKind = "cuda" if resolve_device(device).type == "cuda" else "cpu"
    work = max(training_cost(network, shape, precision, objective, kind=kind).work for shape in shapes)
    parts = training_memory(network, work)
    if recipe.training.parallel == "fsdp" and processes > 1:
        parts = sharded_memory(parts, network, processes, accumulating=tokens < share(recipe, processes))
    if kind == "cpu":
        return parts.on_cpu(precision)
    return parts.weights + parts.gradients + parts.optimizer + parts.activations


def sharded_memory(memory: TrainingMemory, network: nn.Module, processes: int, *, accumulating: bool) -> TrainingMemory:
    """Return the memory that each of several processes needs if they share weights, gradients and optimizer state.

    A process also holds the weights it has gathered, and their gradients before they are exchanged: of two blocks, one
    of them ahead of its use, and of all that is not in a block. With several micro-batches, whose gradients are summed
    before the exchange, those of all weights.
    """
    sizes = Sizes.of(network)
    own, gathered = 4 * sizes.shard(processes), 4 * sizes.gathered
    return TrainingMemory(
        weights=own + gathered,
        gradients=memory.gradients if accumulating else own + gathered,
        optimizer=2 * own,
        activations=memory.activations,
    )


def largest_batches(examples: Examples, planned: list[Rows], tokens: int) -> list[Rows]:
    """Return as many of the longest sentences as fit `tokens`, and the fullest of the `planned` batches."""
    longest = np.maximum(examples.source_lengths, examples.target_lengths) + 1
    order = np.argsort(-longest, kind="stable")
    return [
        order[: max(1, tokens // int(longest[order[0]]))],
        max(planned, key=lambda rows: len(rows) * longest[rows].max()),
    ]


def try_largest_batches(learner: Learner, examples: Examples, planned: list[Rows], micro_batch_tokens: int) -> int:
    """Train on the largest batches at a learning rate of 0, and return the tokens at once that fit the device.

    Starts with `micro_batch_tokens`, 0 for the whole batch, and halves it when memory runs out.
    Raises: ResourceError if not even one sentence fits.
    """
    for rows in largest_batches(examples, planned, learner.options.batch_tokens):
        result = train_step_within_memory(
            learner, *examples.encoded(rows), lr=0.0, micro_batch_tokens=micro_batch_tokens
        )
        micro_batch_tokens = result.micro_batch_tokens
    return micro_batch_tokens


def free_for_process(device: str, local_size: int) -> int:
    """Return the free memory of a device in bytes; on a CPU, the part of each of `local_size` processes."""
    resolved = resolve_device(device)
    return free_memory(resolved) // (local_size if resolved.type == "cpu" else 1)


def micro_batch_that_fits(
    recipe: Recipe, examples: Examples, device: str, precision: Precision, processes: int = 1, local_size: int = 1
) -> int:
    """Return how many tokens each of several processes can compute at once by estimate; 0 for its whole share.

    The largest of its share of batch_tokens, a half, a quarter … `local_size`: how many of the processes share a host.
    On a CPU only the estimate decides: a process that tries and takes too much is killed.
    Raises: ResourceError if not even one sentence fits.
    """
    own, free = share(recipe, processes), free_for_process(device, local_size)
    tokens = own
    while (needed := memory_needed(recipe, examples, tokens, device, precision, processes)) > SAFETY * free:
        if all(shape.sentences == 1 for shape in shapes_at_once(recipe, examples, tokens, processes)):
            raise does_not_fit(needed, free)
        tokens //= 2
    return 0 if tokens == own else tokens


def does_not_fit(needed: int, free: int) -> ResourceError:
    """Return the error for insufficient memory."""
    return ResourceError(
        f"training needs about {format_size(needed)} of memory, but only {format_size(free)} are free",
        "try --set training.micro_batch_tokens=auto or training.recompute=true, more processes with "
        "training.parallel=fsdp, or a smaller network",
    )
