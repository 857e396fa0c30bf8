"""One interface for everything that translates: an encoder, a decoder, an output projection.

B sentences, K hypotheses of each, S source positions, T target positions, D width, E width of the summary, V
vocabulary.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

PAD, UNK, BOS, EOS = 0, 1, 2, 3  # ids of the special tokens, the same in every tokenizer


@dataclass(frozen=True, slots=True)
class TokenInput:
    """What an encoder reads: ids [B, S] padded with PAD, and lengths [B]."""

    ids: Tensor
    lengths: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentence pairs for teacher forcing: the decoder's inputs [B, T] (BOS first) and its labels [B, T] (EOS last),
    PAD behind.
    """

    source: TokenInput
    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Memory:
    """What an encoder leaves for a decoder, always in source order."""

    states: Tensor  # [B, S, D]
    mask: Tensor  # [B, S] bool, True at real positions
    summary: Tensor  # [B, E]: final states of all layers and directions
    grid: tuple[int, int] | None = None  # (height, width) where the positions are an image's


@dataclass(frozen=True, slots=True)
class DecoderOutput:
    """A decoder's answer: hidden [B, T, D] (or [B, K, D] from a step), weights [B, T, S] ([B, K, S]) where asked
    for.
    """

    hidden: Tensor
    attention: Tensor | None = None


@dataclass(frozen=True, slots=True)
class StepOutput:
    """One step of a model: logits [B, K, V], weights [B, K, S] where asked for."""

    logits: Tensor
    attention: Tensor | None = None


@dataclass(frozen=True, slots=True)
class LossSums:
    """Sums over the real target tokens of a batch: the loss that is trained (scalar), the negative log-likelihood in
    nats without label smoothing (scalar), and how many tokens there were (scalar).
    """

    loss: Tensor
    nll: Tensor
    tokens: Tensor


class State(Protocol):
    """All that a step needs, what it took from the memory included."""

    def select(self, rows: Tensor, beams: Tensor) -> "State":
        """The state of sentences `rows` [B'] and, among the old K hypotheses of each, `beams` [B', K'].

        K' may differ from K. What belongs to a sentence is selected by rows alone and never copied per hypothesis.
        """
        ...


class Encoder(nn.Module, ABC):
    """Reads a source."""

    width: int  # D of the memory's states
    summary_width: int  # E of the memory's summary

    @abstractmethod
    def forward(self, source: Tensor, lengths: Tensor | None) -> Memory:
        """The memory of ids [B, S] with lengths [B], PAD behind them."""


class Decoder(nn.Module, ABC):
    """Writes a target."""

    width: int  # D of the hidden vectors it returns

    @abstractmethod
    def forward(self, memory: Memory, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:
        """Teacher forcing: inputs [B, T] -> hidden [B, T, D], weights [B, T, S] where asked for."""

    @abstractmethod
    def start(self, memory: Memory, *, steps: int) -> State:
        """The state before the first step, K = 1; what only the memory decides is computed here, once.

        `steps`: room in a cache.
        """

    @abstractmethod
    def step(self, inputs: Tensor, state: State, *, need_attention: bool = False) -> tuple[DecoderOutput, State]:
        """One step: inputs [B, K] -> hidden [B, K, D] and the next state. The state given is used up."""


class Model(Protocol):
    """One network, or an ensemble of networks that share a vocabulary."""

    def forward(self, batch: Batch) -> LossSums:
        """Teacher-forced loss of a batch [B, S] -> [B, T]; projection and loss in chunks."""
        ...

    def start(self, source: TokenInput, *, steps: int) -> State:
        """Encode, and the state before the first step, K = 1."""
        ...

    def step(self, tokens: Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, State]:
        """Tokens [B, K] -> logits [B, K, V] and the next state."""
        ...
