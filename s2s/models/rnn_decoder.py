"""Recurrent decoders: what they share, and the bottleneck, one fixed vector for the whole source.

B sentences, K hypotheses of each, S source positions, T target positions, H units of a layer, P × H numbers of a cell's
state, N × H of its gates, E width of an embedding and of the read-out, D width of the summary.
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
from s2s.recipe.model import RnnDecoderOptions


@dataclass(frozen=True, slots=True)
class RnnState:
    """What belongs to a hypothesis: tensors [B, K, ...], the layers' states first; and to a sentence: [B, ...]."""

    hypothesis: tuple[Tensor, ...]
    sentence: tuple[Tensor, ...]

    def select(self, rows: Tensor, beams: Tensor) -> "RnnState":
        """Select sentences `rows` [B'] and, of each, the hypotheses `beams` [B', K']."""
        B = self.hypothesis[0].shape[0]
        same = torch.equal(rows, torch.arange(B, device=rows.device))
        return RnnState(
            hypothesis=tuple(part[rows.unsqueeze(1), beams] for part in self.hypothesis),
            sentence=self.sentence if same else tuple(part.index_select(0, rows) for part in self.sentence),
        )


class RnnDecoder(Decoder):
    """Layers of cells that start from the summary: s_0 = tanh(W summary), for all layers.

    Read-out: tanh(W_s s_t + W_c c_t + W_y y_{t−1}) of an embedding's width (after Bahdanau et al. 2015, A.2.2, tanh for
    maxout). What is taken from the memory, and when, is the subclasses' part.
    """

    def __init__(
        self,
        options: RnnDecoderOptions,
        embedding: nn.Embedding,
        memory: MemorySpec,
        dropout: float,
        *,
        context_size: int,
        fed_size: int,
    ) -> None:
        """`context_size`: of what enters the read-out; `fed_size`: the first layer; 0: nothing does."""
        super().__init__()
        H, E = options.hidden_size, embedding.embedding_dim
        self.hidden_size = E
        self.embedding = embedding
        widths = [(E, fed_size), *[(H, 0)] * (options.layers - 1)]
        self.cells = nn.ModuleList(Cell(options.cell, *width, H) for width in widths)
        self.initial = nn.Linear(memory.summary, options.layers * self.first.kind.parts * H)
        self.from_state = nn.Linear(H, E)
        self.from_context = nn.Linear(context_size, E, bias=False) if context_size else None
        self.from_input = nn.Linear(E, E, bias=False)
        self.dropout = Dropout(dropout, variational=options.variational)

    def forward(self, memory: Memory, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:
        """Run teacher forcing: inputs [B, T] -> hidden [B, T, E], attention [B, T, S] if requested and available."""
        hidden, attention = self.teacher_forced(self.dropout(self.embedding(inputs.t())), memory)
        shown = attention.transpose(0, 1) if need_attention and attention is not None else None
        return DecoderOutput(self.dropout(hidden).transpose(0, 1), shown)

    @abstractmethod
    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """Read-outs [T, B, E] and attention [T, B, S] or None, from embedded inputs [T, B, E]."""

    def start(self, memory: Memory, *, max_steps: int) -> RnnState:
        """Return the state before the first step, K = 1."""
        return RnnState(tuple(part.unsqueeze(1) for part in self.initial_states(memory)), self.sentence_tensors(memory))

    @abstractmethod
    def sentence_tensors(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the tensors [B, ...] that steps need from the memory, computed once per sentence."""

    def initial_states(self, memory: Memory) -> tuple[Tensor, ...]:
        """s_0 of each layer, [B, P × H]."""
        return torch.tanh(self.initial(memory.summary)).float().chunk(len(self.cells), dim=-1)

    @property
    def layers(self) -> list[Cell]:
        """The cells, the first layer's first."""
        return cast(list[Cell], list(self.cells))

    @property
    def first(self) -> Cell:
        """The first layer's cell."""
        return self.layers[0]

    def output(self, state: Tensor) -> Tensor:
        """Return a cell's output [..., H] from its state [..., P × H]."""
        return state[..., : self.first.hidden_size]

    def next_states(
        self, from_input: Tensor, states: tuple[Tensor, ...], noise: Sequence[Tensor] = ()
    ) -> tuple[Tensor, ...]:
        """Return the layers' next states [B, K, P × H] from the first layer's share of the gates [B, K, N × H].

        `noise`: in training what the inputs [B, K, H] of the other layers are multiplied with.
        """
        following = [self.first(from_input, states[0])]
        for index, cell in enumerate(self.layers[1:]):
            below = self.output(following[-1])
            below = below * noise[index] if noise else below
            following.append(cell(cell.input_proj(below), states[index + 1]))
        return tuple(following)

    def upper_layers(self, outputs: Tensor, first: tuple[Tensor, ...]) -> Tensor:
        """Return the top layer's outputs [T, B, H] from the first layer's outputs and all initial states."""
        for cell, state in zip(self.layers[1:], first[1:], strict=True):
            outputs = self.output(_sequence(cell, cell.input_proj(self.dropout(outputs)).float(), state))
        return outputs

    def read_out(self, outputs: Tensor, context: Tensor | None, embedded: Tensor | None) -> Tensor:
        """tanh(W_s s + W_c c + W_y y) [..., E], without what is None."""
        summed = self.from_state(outputs)
        if context is not None and self.from_context is not None:
            summed = summed + self.from_context(context)
        return torch.tanh(summed if embedded is None else summed + self.from_input(embedded))


def _sequence(cell: Cell, inputs: Tensor, first: Tensor) -> Tensor:
    """States [T, B, P × H] of a layer from its share of the gates [T, B, N × H] and its first state [B, P × H]."""
    weight, bias = cell.recurrent_proj.weight.t().unsqueeze(0), cell.recurrent_proj.bias.view(1, 1, -1)
    return recurrence(cell.kind, inputs.unsqueeze(1), first.unsqueeze(0), weight, bias).squeeze(1)


class FixedContextDecoder(RnnDecoder):
    """The bottleneck: s_t = g(y_{t−1}, s_{t−1}, c) with the summary as the same c at every step (Cho et al. 2014).

    With context "initial" there is no c: the first state alone knows of the source (Sutskever et al. 2014).
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> None:
        width = memory.summary if options.context == "fixed" else 0
        super().__init__(options, embedding, memory, dropout, context_size=width, fed_size=width)

    def teacher_forced(self, embedded: Tensor, memory: Memory) -> tuple[Tensor, None]:
        """Read-outs [T, B, E]; there is no attention."""
        cell, (context,) = self.first, self.sentence_tensors(memory)
        first = self.initial_states(memory)
        gates = cell.input_proj(embedded).float()
        if cell.context_proj is not None:
            gates = gates + cell.context_proj(context.transpose(0, 1)).float()
        outputs = self.upper_layers(self.output(_sequence(cell, gates, first[0])), first)
        return self.read_out(outputs, context.transpose(0, 1), embedded), None

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
        hidden = self.read_out(self.output(states[-1]), context, embedded)
        return DecoderOutput(hidden), RnnState(states, state.sentence)
