"""Recurrent decoders: the part that all share, and the bottleneck, one fixed vector for the whole source.

G: gates of a cell; P: parts of a cell's state. H is the hidden size of a layer; the readout has the embedding size E.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from s2s.models.cells import Cell
from s2s.models.dropout import Dropout
from s2s.models.interface import Decoder, DecoderOutput, Memory, MemorySpec
from s2s.models.recurrence import recurrence
from s2s.recipe.sides import RnnDecoderOptions


@dataclass(frozen=True, slots=True)
class RnnState:
    """Decoding state of a recurrent decoder."""

    hypothesis: tuple[Tensor, ...]  # each [B, K, ...]: the layers' states first
    sentence: tuple[Tensor, ...]  # each [B, ...]: computed from the memory, shared by a sentence's hypotheses

    def select(self, rows: Tensor | None, beams: Tensor) -> "RnnState":
        """Select sentences `rows` [B'], or all if None, and, of each, the hypotheses `beams` [B', K']."""
        sentence = self.sentence if rows is None else tuple(part.index_select(0, rows) for part in self.sentence)
        if rows is None:
            rows = torch.arange(len(beams), device=beams.device)
        return RnnState(tuple(part[rows.unsqueeze(1), beams] for part in self.hypothesis), sentence)


class RnnDecoder(Decoder):
    """Stacked cells whose initial states come from the summary: s_0 = tanh(W summary) in every layer.

    The readout is tanh(W_s s_t + W_c c_t + W_y y_{t−1}) (after Bahdanau et al. 2015, A.2.2, with tanh for maxout).
    Subclasses decide what context is computed from the memory, and when.
    """

    def __init__(
        self,
        options: RnnDecoderOptions,
        embedding: nn.Embedding,
        memory: MemorySpec,
        dropout: float,
        *,
        context_size: int,
        feed_size: int,
    ) -> None:
        """Build the decoder. `context_size` enters the readout and `feed_size` the first layer; 0 means nothing."""
        super().__init__()
        H, E = options.hidden_size, embedding.embedding_dim
        self.hidden_size = E
        self.embedding = embedding
        sizes = [(E, feed_size), *[(H, 0)] * (options.layers - 1)]
        self.cells = nn.ModuleList(Cell(options.cell, *size, H) for size in sizes)
        self.initial = nn.Linear(memory.summary, options.layers * self.first.kind.parts * H)
        self.from_state = nn.Linear(H, E)
        self.from_context = nn.Linear(context_size, E, bias=False) if context_size else None
        self.from_input = nn.Linear(E, E, bias=False)
        self.dropout = Dropout(dropout, variational=options.variational)

    def forward(self, memory: Memory, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:
        """Run teacher forcing: inputs [B, T] -> hidden [B, T, E], attention [B, T, S] if requested and available."""
        hidden, attention = self.teacher_forced(self.dropout(self.embedding(inputs.t())), memory)
        attention = attention.transpose(0, 1) if need_attention and attention is not None else None
        return DecoderOutput(self.dropout(hidden).transpose(0, 1), attention)

    @abstractmethod
    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """Return readouts [T, B, E] and attention [T, B, S] or None, from embedded inputs [T, B, E]."""

    def start(self, memory: Memory, *, max_steps: int) -> RnnState:
        """Return the state before the first step, K = 1."""
        return RnnState(tuple(part.unsqueeze(1) for part in self.initial_states(memory)), self.sentence_tensors(memory))

    @abstractmethod
    def sentence_tensors(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the tensors [B, ...] that steps need from the memory, computed once per sentence."""

    def initial_states(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return s_0 [B, P × H] of each layer."""
        return torch.tanh(self.initial(memory.summary)).float().chunk(len(self.cells), dim=-1)

    @property
    def layers(self) -> list[Cell]:
        """Cells from the first layer to the top layer."""
        return cast(list[Cell], list(self.cells))

    @property
    def first(self) -> Cell:
        """Cell of the first layer."""
        return self.layers[0]

    def output(self, state: Tensor) -> Tensor:
        """Return a cell's output [..., H] from its state [..., P × H]."""
        return state[..., : self.first.hidden_size]

    def next_states(
        self, input_gates: Tensor, states: tuple[Tensor, ...], masks: Sequence[Tensor] = ()
    ) -> tuple[Tensor, ...]:
        """Return the layers' next states [B, K, P × H] from the first layer's input gates [B, K, G × H].

        `masks` are scaled dropout masks [B, K, H] of the inputs of the other layers.
        """
        new_states = [self.first(input_gates, states[0])]
        for index, cell in enumerate(self.layers[1:]):
            inputs = self.output(new_states[-1])
            inputs = inputs * masks[index] if masks else inputs
            new_states.append(cell(cell.input_proj(inputs), states[index + 1]))
        return tuple(new_states)

    def upper_layers(self, outputs: Tensor, initial: tuple[Tensor, ...]) -> Tensor:
        """Return the top layer's outputs [T, B, H] from the first layer's and the initial states [B, P × H] of all."""
        for cell, state in zip(self.layers[1:], initial[1:], strict=True):
            outputs = self.output(_layer_states(cell, cell.input_proj(self.dropout(outputs)).float(), state))
        return outputs

    def readout(self, outputs: Tensor, context: Tensor | None, embedded: Tensor | None) -> Tensor:
        """Return tanh(W_s s + W_c c + W_y y) [..., E], leaving out what is None.

        Outputs [..., H], context [..., D] or, with a fixed context, [..., M], embedded inputs [..., E].
        """
        total = self.from_state(outputs)
        if context is not None and self.from_context is not None:
            total = total + self.from_context(context)
        return torch.tanh(total if embedded is None else total + self.from_input(embedded))


def _layer_states(cell: Cell, input_gates: Tensor, start: Tensor) -> Tensor:
    """Return a layer's states [T, B, P × H] from its input gates [T, B, G × H] and initial state [B, P × H]."""
    weight, bias = cell.recurrent_proj.weight.t().unsqueeze(0), cell.recurrent_proj.bias.view(1, 1, -1)
    return recurrence(cell.kind, input_gates.unsqueeze(1), start.unsqueeze(0), weight, bias).squeeze(1)


class FixedContextDecoder(RnnDecoder):
    """The bottleneck: s_t = g(y_{t−1}, s_{t−1}, c) with c = summary at every step (Cho et al. 2014).

    With context "initial" there is no c: only the initial state depends on the source (Sutskever et al. 2014).
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> None:
        size = memory.summary if options.context == "fixed" else 0
        super().__init__(options, embedding, memory, dropout, context_size=size, feed_size=size)

    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, None]:
        """Return readouts [T, B, E] from embedded inputs [T, B, E]; there is no attention."""
        cell, (context,) = self.first, self.sentence_tensors(memory)
        initial = self.initial_states(memory)
        gates = cell.input_proj(embedded).float()
        if cell.context_proj is not None:
            gates = gates + cell.context_proj(context.transpose(0, 1)).float()
        outputs = self.upper_layers(self.output(_layer_states(cell, gates, initial[0])), initial)
        return self.readout(outputs, context.transpose(0, 1), embedded), None

    def sentence_tensors(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the summary [B, 1, M]."""
        return (memory.summary.unsqueeze(1),)

    def step(self, inputs: Tensor, state: RnnState, *, need_attention: bool = False) -> tuple[DecoderOutput, RnnState]:  # type: ignore[override]
        """Run one step: inputs [B, K] -> hidden [B, K, E] and the next state."""
        cell, (context,), embedded = self.first, state.sentence, self.embedding(inputs)
        gates = cell.input_proj(embedded)
        if cell.context_proj is not None:
            gates = gates + cell.context_proj(context)
        states = self.next_states(gates, state.hypothesis)
        hidden = self.readout(self.output(states[-1]), context, embedded)
        return DecoderOutput(hidden), RnnState(states, state.sentence)
