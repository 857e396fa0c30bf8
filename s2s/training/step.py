"""One optimizer step: the gradients of a batch, in micro-batches that fit the device."""

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from s2s.data.batching import Rows, cut_batches
from s2s.data.collate import pair_batch
from s2s.data.sources import Sentences, Sources, select_sources
from s2s.devices.memory import is_out_of_memory
from s2s.devices.runtime import Precision
from s2s.errors import ResourceError
from s2s.models.interface import EOS, UNK, Batch, Objective, TokenInput
from s2s.models.network import Network
from s2s.recipe.training import TrainingOptions
from s2s.training.distributed import DistributedContext, parallel
from s2s.training.optimizer import build_optimizer
from s2s.training.sharding import is_dtensor, is_sharded, recompute_blocks


@dataclass(frozen=True)
class StepResult:
    """The result of one optimizer step; reading its figures waits until the device has computed them."""

    figures: Tensor  # [3] on the device: loss, gradient norm, and 1 if the step was skipped
    local_tokens: int  # target tokens of this process
    tokens: int  # target tokens of the whole batch
    micro_batch_tokens: int  # tokens that were computed at once; 0: the whole batch

    @property
    def loss(self) -> float:
        """Sum over this process's target tokens, nats."""
        return self._read[0]

    @property
    def gradient_norm(self) -> float:
        """Gradient norm before clipping."""
        return self._read[1]

    @property
    def applied(self) -> bool:
        """False if the loss or the gradient was not finite, so that the step was skipped."""
        return not self._read[2]

    @cached_property
    def _read(self) -> tuple[float, float, float]:
        loss, norm, skipped = self.figures.tolist()
        return loss, norm, skipped


class Learner:
    """State that an optimizer step updates, and how to compute it."""

    def __init__(
        self,
        network: Network,
        options: TrainingOptions,
        device: torch.device,
        precision: Precision,
        distributed: DistributedContext,
    ) -> None:
        """Prepare the network for its processes, and build the optimizer."""
        self.options = options
        self.device = device
        self.precision = precision
        self.distributed = distributed
        if options.recompute:
            recompute_blocks(network)
        self.network = parallel(network, device, distributed, sharded=options.parallel == "fsdp")
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(network, options)

    def accumulating(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Exchange gradients only in the backward pass of a batch's last micro-batch."""
        if is_sharded(self.network):
            self.network.set_requires_gradient_sync(last)  # type: ignore[operator]
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return contextlib.nullcontext()

    def micro_batches(self, lengths: NDArray[np.int64], micro_batch_tokens: int) -> tuple[list[Rows], int]:
        """Return the micro-batches of this process, and how many passes all processes make through the network.

        `lengths`: of all sentences of the batch. A sharded network is gathered in every pass, by all processes at once.
        """
        shares = [self.distributed.shard(len(lengths), rank) for rank in range(self.distributed.size)]
        parts = [_micro_batches(lengths[np.array(share or [0])], micro_batch_tokens) for share in shares]
        own = parts[self.distributed.rank]
        return own, max(map(len, parts)) if is_sharded(self.network) else len(own)


def train_step(
    learner: Learner, sources: Sources, targets: Sentences, *, lr: float, micro_batch_tokens: int
) -> StepResult:
    """Take one optimizer step on a batch of pairs: sentences, given as tokens without special ones, or images.

    Every process receives the whole batch and computes its own share. Running out of memory raises. The host does not
    wait for a GPU: whether loss and gradient are finite is decided there, and the optimizer skips the step if not.
    """
    rows = learner.distributed.shard(len(sources))
    weight = learner.distributed.size if rows else 0  # gradients are averaged over processes, and should be summed
    own_sources, own_targets = select_sources(sources, rows or [0]), [targets[row] for row in rows or [0]]
    tokens = _count_tokens(targets)
    parts, passes = learner.micro_batches(_lengths(sources, targets), micro_batch_tokens)

    learner.optimizer.zero_grad(set_to_none=True)
    losses = []
    for number in range(passes):
        part = parts[min(number, len(parts) - 1)]
        batch = pair_batch(select_sources(own_sources, part), [own_targets[row] for row in part], learner.device)
        batch = with_word_dropout(batch, learner.options.word_dropout)
        with learner.accumulating(last=number == passes - 1):
            with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.precision == "bf16"):
                sums = learner.network(batch, Objective.of(learner.options))
            (sums.loss * (weight if number < len(parts) else 0) / tokens).backward()
        losses.append(sums.loss.detach())
    loss = torch.stack(losses[: len(parts)]).sum()
    loss = loss if rows else torch.zeros_like(loss)

    max_norm = learner.options.clip_norm or inf
    norm = torch.nn.utils.clip_grad_norm_(learner.parameters, max_norm, foreach=True)
    if is_dtensor(norm):
        norm = norm.full_tensor()
    skipped = (~(norm.isfinite() & loss.isfinite())).float()
    learner.distributed.reduce_max_(skipped)
    for group in learner.optimizer.param_groups:
        group["lr"] = lr
    # the fused kernel then leaves weights, moments and step counts as they are
    learner.optimizer.found_inf = skipped  # type: ignore[attr-defined]
    learner.optimizer.step()
    figures = torch.stack([loss.float(), norm.float(), skipped])
    return StepResult(figures, _count_tokens(own_targets) if rows else 0, tokens, micro_batch_tokens)


def train_step_within_memory(
    learner: Learner, sources: Sources, targets: Sentences, *, lr: float, micro_batch_tokens: int
) -> StepResult:
    """Take one optimizer step; if memory runs out, retry with smaller micro-batches until they fit.

    Raises: ResourceError if even one sentence does not fit.
    """
    while True:
        try:
            return train_step(learner, sources, targets, lr=lr, micro_batch_tokens=micro_batch_tokens)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or learner.distributed.size > 1:
                raise
        # outside the handler, which keeps the tensors of the failed micro-batch alive
        learner.optimizer.zero_grad(set_to_none=True)
        if learner.device.type == "cuda":
            torch.cuda.empty_cache()
        micro_batch_tokens = _halve(_lengths(sources, targets), micro_batch_tokens)


def _halve(lengths: NDArray[np.int64], micro_batch_tokens: int) -> int:
    """Return half of the largest micro-batch's size. Raises ResourceError if it is a single sentence."""
    parts = _micro_batches(lengths, micro_batch_tokens)
    sizes = [int(lengths[part].max()) * len(part) for part in parts if len(part) > 1]
    if not sizes:
        raise ResourceError(
            f"out of memory with a single sentence of {lengths.max()} tokens",
            "make the network smaller, or leave out long sentences (the filter length of data.filters)",
        )
    return max(1, max(sizes) // 2)


def with_word_dropout(batch: Batch, rate: float) -> Batch:
    """Return the batch with a fraction of its input tokens, [B, S] and [B, T], replaced by the unknown token.

    On the target side as in Bowman et al. 2016, section 3.1; the labels stay.
    """
    if not rate:
        return batch

    def dropped(tokens: Tensor) -> Tensor:
        return tokens.masked_fill((torch.rand(tokens.shape, device=tokens.device) < rate) & (tokens > EOS), UNK)

    source = batch.source
    if isinstance(source, TokenInput):
        source = replace(source, ids=dropped(source.ids))
    return replace(batch, source=source, inputs=dropped(batch.inputs))


def _micro_batches(lengths: NDArray[np.int64], micro_batch_tokens: int) -> list[Rows]:
    """Return the rows of each micro-batch."""
    rows = np.arange(len(lengths))
    return cut_batches(lengths, rows, micro_batch_tokens) if micro_batch_tokens else [rows]


def _lengths(sources: Sources, targets: Sentences) -> NDArray[np.int64]:
    """Return the longer side of each pair, including the end token."""
    return np.array([max(len(source), len(target)) + 1 for source, target in zip(sources, targets, strict=True)])


def _count_tokens(targets: Sentences) -> int:
    """Count the tokens to predict: those of the targets, and the end of each."""
    return sum(len(target) + 1 for target in targets)
