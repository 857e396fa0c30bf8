"""One update: the gradients of a batch in parts that fit the device, and the optimizer's step.

B sentences, S source positions, T target positions.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from s2s.data.batching import Rows, cut_batches
from s2s.data.collate import Sentences, pair_batch
from s2s.devices.memory import out_of_memory
from s2s.devices.select import Precision
from s2s.errors import ResourceError
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import EOS, UNK, Batch, Objective
from s2s.recipe.training import TrainingOptions
from s2s.training.distributed import DistributedContext
from s2s.training.optimizer import build_optimizer

Ids = Sequence[int] | NDArray[np.int32]  # one sentence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update found: the loss summed over this process's share in nats, target tokens of the share and
    of the whole batch, the gradient's norm before clipping, and whether the step was taken: not where the loss or the
    gradient is not finite.
    """

    loss: float
    share: int
    tokens: int
    norm: float
    taken: bool


class Updater:
    """Takes the optimizer's steps. `micro_batch_tokens`: what is computed at once; 0: all of a batch."""

    def __init__(
        self,
        network: EncoderDecoder,
        options: TrainingOptions,
        device: torch.device,
        precision: Precision,
        world: DistributedContext,
    ) -> None:
        self.options = options
        self.device = device
        self.precision = precision
        self.world = world
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(network, options)
        self.network: nn.Module = network
        if world.size > 1:
            self.network = DistributedDataParallel(network)
        self.micro_batch_tokens = 0

    def update(self, sources: Sentences, targets: Sentences, rate: float) -> Outcome:
        """One step at this learning rate on a batch of sentence pairs, as tokens without special ones.

        Every process is given the whole batch and computes its own share.
        Raises: ResourceError where memory does not suffice for one sentence.
        """
        tokens = _tokens(targets)
        rows = self.world.shard(len(sources))
        weight = self.world.size if rows else 0  # the processes' gradients are averaged, and are to be added up
        mine = [sources[row] for row in rows or [0]], [targets[row] for row in rows or [0]]
        loss = self._gradients(*mine, weight, tokens)
        largest = self.options.clip_norm or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, largest, foreach=True))
        taken = not self.world.all_reduce_max(int(not (isfinite(norm) and isfinite(loss))))
        if taken:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        return Outcome(loss, _tokens(mine[1]) if rows else 0, tokens, norm, taken)

    def _gradients(self, sources: list[Ids], targets: list[Ids], weight: int, tokens: int) -> float:
        """The gradients of weight × loss / tokens, in parts that memory has room for; returns the loss's sum."""
        lengths = np.array([max(len(s), len(t)) + 1 for s, t in zip(sources, targets, strict=True)])
        while True:
            parts = self._parts(lengths)
            try:
                return self._added_up(sources, targets, parts, weight, tokens)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.world.size > 1:
                    raise
            self._make_smaller(lengths, parts)  # out of the handler, which keeps the tensors of the failed part alive

    def _parts(self, lengths: NDArray[np.int64]) -> list[Rows]:
        rows = np.arange(len(lengths))
        return cut_batches(lengths, rows, self.micro_batch_tokens) if self.micro_batch_tokens else [rows]

    def _added_up(self, sources: list[Ids], targets: list[Ids], parts: list[Rows], weight: int, tokens: int) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, part in enumerate(parts, 1):
            batch = pair_batch([sources[row] for row in part], [targets[row] for row in part], self.device)
            batch = with_word_dropout(batch, self.options.word_dropout)
            with self._without_exchange() if number < len(parts) else contextlib.nullcontext():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                    sums = self.network(batch, Objective(self.options.label_smoothing))
                (sums.loss * weight / tokens).backward()
            losses.append(sums.loss.detach())
        return float(torch.stack(losses).sum()) if weight else 0.0

    def _without_exchange(self) -> contextlib.AbstractContextManager[None]:
        """Gradients are exchanged with the last part of a batch alone."""
        wrapped = self.network
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else contextlib.nullcontext()

    def _make_smaller(self, lengths: NDArray[np.int64], parts: list[Rows]) -> None:
        """Halve what is computed at once. Raises ResourceError where that is one sentence already."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        most = max(len(part) for part in parts)
        if most == 1:
            raise ResourceError(
                f"out of memory with one sentence of {lengths.max()} tokens at once",
                "make the network smaller, or leave out long sentences (data.max_length)",
            )
        largest = max(int(lengths[part].max()) * len(part) for part in parts if len(part) > 1)
        self.micro_batch_tokens = max(1, largest // 2)


def with_word_dropout(batch: Batch, rate: float) -> Batch:
    """The batch with a share of the tokens that are read, [B, S] and [B, T], replaced by the unknown token.

    On the target's side as in Bowman et al. 2016, section 3.1; what is to be predicted stays.
    """
    if not rate:
        return batch
    ids, inputs = (
        tokens.masked_fill((torch.rand(tokens.shape, device=tokens.device) < rate) & (tokens > EOS), UNK)
        for tokens in (batch.source.ids, batch.inputs)
    )
    return replace(batch, source=replace(batch.source, ids=ids), inputs=inputs)


def _tokens(targets: Sentences) -> int:
    """What is predicted of these targets: their tokens, and the end of each."""
    return sum(len(target) + 1 for target in targets)
