"""The interface that every model implements: an encoder (optional), a decoder and an output projection.

Shape letters of all files in this package:

| letter | size                     | letter | size               |
| ------ | ------------------------ | ------ | ------------------ |
| B      | sentences in a batch     | H      | hidden size        |
| K      | hypotheses per sentence  | D      | memory size        |
| S      | source positions         | M      | summary size       |
| T      | target positions         | N      | attention heads    |
| E      | embedding size           | V      | vocabulary size    |

A file that needs another letter defines it at its top.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from s2s.recipe.training import TrainingOptions
from s2s.text.tokenizer import BOS, EOS, PAD, UNK

__all__ = [
    "BOS",
    "EOS",
    "NLL",
    "PAD",
    "UNK",
    "Batch",
    "Decoder",
    "DecoderOutput",
    "Encoder",
    "ImageInput",
    "LossSums",
    "Memory",
    "MemorySpec",
    "Model",
    "Objective",
    "Source",
    "State",
    "StepOutput",
    "TokenInput",
]


@dataclass(frozen=True, slots=True)
class TokenInput:
    """Token ids for an encoder."""

    ids: Tensor  # [B, S], padded with PAD
    lengths: Tensor  # [B]


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Images for an encoder."""

    pixels: Tensor  # [B, 3, height, width], from 0 to 255, or features [B, C, height, width]


Source = TokenInput | ImageInput


def repeated_source(source: Source, count: int) -> Source:
    """Return `count` times the same B sources."""
    if isinstance(source, ImageInput):
        return ImageInput(source.pixels.repeat(count, 1, 1, 1))
    return TokenInput(source.ids.repeat(count, 1), source.lengths.repeat(count))


@dataclass(frozen=True, slots=True)
class Batch:
    """Sources and targets for teacher forcing."""

    source: Source
    inputs: Tensor  # [B, T], decoder inputs: BOS first, padded with PAD
    labels: Tensor  # [B, T], expected outputs: EOS last, padded with PAD
    real: Tensor  # [R], indices into the B × T labels of those that are not padding, in order

    def repeated(self, count: int) -> "Batch":
        """Return a batch of `count` times the same sentences [count · B, ...]."""
        real = torch.cat([self.real + index * self.labels.numel() for index in range(count)])
        return Batch(
            repeated_source(self.source, count), self.inputs.repeat(count, 1), self.labels.repeat(count, 1), real
        )


@dataclass(frozen=True, slots=True)
class Objective:
    """Training objective."""

    label_smoothing: float = 0.0  # label smoothing ε: probability spread over the vocabulary
    r_drop: float = 0.0  # R-Drop's α; above 0, each batch passes the network twice
    attention_coverage: float = 0.0  # weight of the penalty for uneven attention

    @classmethod
    def of(cls, options: TrainingOptions) -> "Objective":
        """Return the objective that a recipe trains with."""
        return cls(options.label_smoothing, options.r_drop, options.attention_coverage)


NLL = Objective()  # plain negative log-likelihood


@dataclass(frozen=True, slots=True)
class MemorySpec:
    """Sizes of an encoder's memory: all that a decoder needs to know about its encoder."""

    states: int  # D
    summary: int  # M


@dataclass(frozen=True, slots=True)
class Memory:
    """Encoder output, always in source order."""

    states: Tensor  # [B, S, D]
    mask: Tensor  # [B, S] bool, True at real positions
    summary: Tensor  # [B, M]: final states of all layers and directions (RNN), masked mean (Transformer), or
    # the mean of the grid (CNN)
    grid: tuple[int, int] | None = None  # (height, width) if the positions are an image's


@dataclass(frozen=True, slots=True)
class DecoderOutput:
    """Decoder output: T positions in teacher forcing, or K hypotheses in a step."""

    hidden: Tensor  # [B, T, H] or [B, K, H]
    attention: Tensor | None = None  # [B, T, S] or [B, K, S], if requested and available


@dataclass(frozen=True, slots=True)
class StepOutput:
    """Model output of one step."""

    logits: Tensor  # [B, K, V]
    attention: Tensor | None = None  # [B, K, S], if requested and available


@dataclass(frozen=True, slots=True)
class LossSums:
    """Sums over the real target tokens of a batch."""

    loss: Tensor  # scalar: training loss in nats
    nll: Tensor  # scalar: negative log-likelihood in nats, without label smoothing
    tokens: int  # number of target tokens


class State(Protocol):
    """Decoding state: everything a step needs, including what was computed from the memory."""

    def select(self, rows: Tensor | None, beams: Tensor) -> "State":
        """Return the state of sentences `rows` [B'], or all if None, with hypotheses `beams` [B', K'] of each.

        K' may differ from K. Tensors that belong to a sentence are selected by rows only and never copied per
        hypothesis.
        """
        ...


class Encoder(nn.Module, ABC):
    """Base class of encoders."""

    spec: MemorySpec

    @abstractmethod
    def forward(self, source: Source) -> Memory:
        """Encode B sources and return their memory, states [B, S, D]."""


class Decoder(nn.Module, ABC):
    """Base class of decoders."""

    hidden_size: int  # H of the hidden vectors it returns

    @abstractmethod
    def forward(self, memory: Memory, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:
        """Run teacher forcing: inputs [B, T] -> hidden [B, T, H], and attention [B, T, S] if requested."""

    @abstractmethod
    def start(self, memory: Memory, *, max_steps: int) -> State:
        """Return the state before the first step, K = 1.

        Everything that depends on the memory alone is computed here, once. `max_steps` sets the size of caches.
        """

    @abstractmethod
    def step(self, inputs: Tensor, state: State, *, need_attention: bool = False) -> tuple[DecoderOutput, State]:
        """Run one step: inputs [B, K] -> hidden [B, K, H] and the next state. Do not use the old state again."""


class Model(Protocol):
    """One network, or an ensemble of networks that share a vocabulary."""

    def forward(self, batch: Batch, objective: Objective = NLL) -> LossSums:
        """Return the teacher-forced loss of a batch of sources [B, S] and targets [B, T]."""
        ...

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Return the log-probability [R] of each target token that is not padding, in nats."""
        ...

    def start(self, source: Source, *, max_steps: int) -> State:
        """Encode the source and return the state before the first step, K = 1."""
        ...

    def step(self, tokens: Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, State]:
        """Run one step: tokens [B, K] -> logits [B, K, V] and the next state."""
        ...
