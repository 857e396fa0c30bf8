"""Recurrent encoder and decoders: one fixed vector for the whole source, or attention over its states.

B sentences, K hypotheses of each, S source positions, T target positions, E width of an embedding,
W units of an encoder's direction, H units of the decoder, D = 2W width of the memory, A width of the score.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from s2s.models.attention import AdditiveScore, attend
from s2s.models.dropout import Dropout
from s2s.models.interface import Decoded, Decoder, Encoder, Memory
from s2s.models.recurrence import AttentionGru, GruSequence, gru_step
from s2s.recipe.model_options import RnnDecoderOptions, RnnEncoderOptions


def matmul_dtype(device: torch.device) -> torch.dtype:
    """What matrix products are computed in: autocast's dtype inside an autocast region, else float32."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


class GruCell(nn.Module):
    """The weights of a GRU: the shares of input, context and state in its gates (reset, update, new)."""

    def __init__(self, input_width: int, context_width: int, width: int) -> None:
        super().__init__()
        self.of_input = nn.Linear(input_width, 3 * width)
        self.of_context = nn.Linear(context_width, 3 * width, bias=False)
        self.of_state = nn.Linear(width, 3 * width)
        for gate in self.of_state.weight.data.split(width):
            nn.init.orthogonal_(gate)

    def forward(self, from_input: Tensor, state: Tensor) -> Tensor:
        """The next state [..., H] from the gates' shares of input and context [..., 3H] and the state [..., H]."""
        return gru_step(from_input, self.of_state(state), state)[2]


class RnnEncoder(Encoder):
    """A bidirectional GRU (Cho et al.

    2014; Schuster and Paliwal 1997). The summary is the final state of both directions.
    """

    def __init__(self, options: RnnEncoderOptions, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        W = options.width
        self.width = self.summary_width = 2 * W
        self.embedding = embedding
        self.of_input = nn.Linear(embedding.embedding_dim, 2 * 3 * W)
        self.of_state = nn.Parameter(torch.empty(2, W, 3 * W))
        self.bias = nn.Parameter(torch.zeros(2, 1, 3 * W))
        self.dropout = Dropout(dropout)
        for direction in self.of_state.data:
            for gate in direction.split(W, dim=1):
                nn.init.orthogonal_(gate)

    def forward(self, source: Tensor, lengths: Tensor | None) -> Memory:
        """The memory of ids [B, S] with lengths [B], PAD behind them."""
        B, S = source.shape
        lengths = source.new_full((B,), S) if lengths is None else lengths
        positions = torch.arange(S, device=source.device)
        mask = positions < lengths.unsqueeze(1)
        mirrored = _mirrored(positions, lengths)
        inputs = self.of_input(self.dropout(self.embedding(source.t()))).float()
        forwards, backwards = inputs.chunk(2, dim=-1)
        states = self._states(torch.stack((forwards, _taken(backwards, mirrored)), dim=1))
        final = states[lengths - 1, :, torch.arange(B, device=source.device)]
        both = torch.cat((states[:, 0], _taken(states[:, 1], mirrored)), dim=-1).transpose(0, 1)
        return Memory(states=self.dropout(both), mask=mask, summary=self.dropout(final.flatten(1)))

    def _states(self, inputs: Tensor) -> Tensor:
        """Inputs [S, 2, B, 3W] -> states [S, 2, B, W]."""
        start = inputs.new_zeros(*inputs.shape[1:3], self.width // 2)
        weight = self.of_state.to(matmul_dtype(inputs.device))
        with torch.autocast(inputs.device.type, enabled=False):
            return GruSequence.apply(inputs, start, weight, self.bias)


def _mirrored(positions: Tensor, lengths: Tensor) -> Tensor:
    """The order [S, B] that turns each sentence round and leaves its padding where it is."""
    mirrored = lengths - 1 - positions.unsqueeze(1)
    return torch.where(mirrored >= 0, mirrored, positions.unsqueeze(1))


def _taken(values: Tensor, order: Tensor) -> Tensor:
    """Values [S, B, N] in the order [S, B] of positions."""
    S, B = order.shape
    rows = order * B + torch.arange(B, device=order.device)
    return values.reshape(S * B, -1).index_select(0, rows.flatten()).view(S, B, -1)


@dataclass(frozen=True, slots=True)
class RnnState:
    """hidden [B, K, H], and what belongs to a sentence: tensors [B, ...]."""

    hidden: Tensor
    sentence: tuple[Tensor, ...]

    def select(self, rows: Tensor, beams: Tensor) -> "RnnState":
        """Sentences `rows` [B'] and of each the hypotheses `beams` [B', K']."""
        everything = torch.arange(self.hidden.shape[0], device=rows.device)
        same = torch.equal(rows, everything)
        return RnnState(
            hidden=self.hidden[rows.unsqueeze(1), beams],
            sentence=self.sentence if same else tuple(part.index_select(0, rows) for part in self.sentence),
        )


class RnnDecoder(Decoder):
    """A GRU that starts from the summary: s_0 = tanh(W summary). What it takes from the memory is its subclasses' part.

    Read-out: tanh(W_s s_t + W_c c_t + W_y y_{t−1}) of an embedding's width (after Bahdanau et al. 2015, A.2.2, tanh for
    maxout).
    """

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, encoder: Encoder, dropout: float) -> None:
        super().__init__()
        H, E = options.width, embedding.embedding_dim
        context = self.context_width(encoder)
        self.width = E
        self.embedding = embedding
        self.initial = nn.Linear(encoder.summary_width, H)
        self.cell = GruCell(E, context, H)
        self.from_state = nn.Linear(H, E)
        self.from_context = nn.Linear(context, E, bias=False)
        self.from_input = nn.Linear(E, E, bias=False)
        self.dropout = Dropout(dropout)

    @staticmethod
    @abstractmethod
    def context_width(encoder: Encoder) -> int:
        """The width of the context."""

    def forward(self, memory: Memory, inputs: Tensor, *, weights: bool = False) -> Decoded:
        """Teacher forcing: inputs [B, T] -> hidden [B, T, E], weights [B, T, S] where asked for and there are any."""
        embedded = self.dropout(self.embedding(inputs.t()))
        gates = self.cell.of_input(embedded).float()
        states, contexts, attention = self.run(gates, self._first(memory), memory)
        hidden = self._read_out(states, contexts, embedded).transpose(0, 1)
        return Decoded(hidden, attention.transpose(0, 1) if weights and attention is not None else None)

    @abstractmethod
    def run(self, gates: Tensor, first: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor | None]:
        """From the inputs' shares of the gates [T, B, 3H] and s_0 [B, H] to states [T, B, H], contexts [T or 1, B,
        D] and weights [T, B, S] or None.
        """

    @abstractmethod
    def context(self, hidden: Tensor, sentence: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        """One step's context [B, K or 1, D] and weights [B, K, S] or None, from states [B, K, H]."""

    def step(self, inputs: Tensor, state: RnnState, *, weights: bool = False) -> tuple[Decoded, RnnState]:  # type: ignore[override]
        """One step: inputs [B, K] -> hidden [B, K, E] and the next state."""
        embedded = self.embedding(inputs)
        context, attention = self.context(state.hidden, state.sentence)
        hidden = self.cell(self.cell.of_input(embedded) + self.cell.of_context(context), state.hidden)
        decoded = Decoded(self._read_out(hidden, context, embedded), attention if weights else None)
        return decoded, replace(state, hidden=hidden)

    def _first(self, memory: Memory) -> Tensor:
        return torch.tanh(self.initial(memory.summary)).float()

    def _read_out(self, states: Tensor, contexts: Tensor, embedded: Tensor) -> Tensor:
        summed = self.from_state(states) + self.from_context(contexts) + self.from_input(embedded)
        return self.dropout(torch.tanh(summed))


class SummaryDecoder(RnnDecoder):
    """The bottleneck: s_t = g(y_{t−1}, s_{t−1}, c) with the summary as the same c at every step (Cho et al. 2014)."""

    @staticmethod
    def context_width(encoder: Encoder) -> int:
        """The width of the summary."""
        return encoder.summary_width

    def run(self, gates: Tensor, first: Tensor, memory: Memory) -> tuple[Tensor, Tensor, None]:
        """States [T, B, H], contexts [1, B, D]."""
        contexts = memory.summary.unsqueeze(0)
        gates = gates + self.cell.of_context(contexts).float()
        weight = self.cell.of_state.weight.t().unsqueeze(0).to(matmul_dtype(gates.device))
        with torch.autocast(gates.device.type, enabled=False):
            states = GruSequence.apply(
                gates.unsqueeze(1), first.unsqueeze(0), weight, self.cell.of_state.bias.view(1, 1, -1)
            )
        return states.squeeze(1), contexts, None

    def start(self, memory: Memory, *, steps: int) -> RnnState:
        """The state before the first step, K = 1."""
        return RnnState(self._first(memory).unsqueeze(1), (memory.summary.unsqueeze(1),))

    def context(self, hidden: Tensor, sentence: tuple[Tensor, ...]) -> tuple[Tensor, None]:
        """The summary [B, 1, D]."""
        return sentence[0], None


class AttentionDecoder(RnnDecoder):
    """Attention with the previous state: c_t enters g (Bahdanau et al. 2015, equations 4–8)."""

    def __init__(self, options: RnnDecoderOptions, embedding: nn.Embedding, encoder: Encoder, dropout: float) -> None:
        super().__init__(options, embedding, encoder, dropout)
        self.score = AdditiveScore(options.width, encoder.width, options.attention_width or options.width)

    @staticmethod
    def context_width(encoder: Encoder) -> int:
        """The width of the memory's states."""
        return encoder.width

    def run(self, gates: Tensor, first: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """States [T, B, H], contexts [T, B, D], weights [T, B, S]."""
        dtype = matmul_dtype(gates.device)
        keys, states = self.score.keys(memory.states).float(), memory.states.float()
        query, recurrent = self.score.of_query, self.cell.of_state
        of_state = torch.cat((query.weight, recurrent.weight)).t().to(dtype)
        of_context = self.cell.of_context.weight.t().to(dtype)
        bias = torch.cat((query.bias, recurrent.bias))
        with torch.autocast(gates.device.type, enabled=False):
            return AttentionGru.apply(gates, first, keys, states, memory.mask, of_context, of_state, bias, self.score.v)

    def start(self, memory: Memory, *, steps: int) -> RnnState:
        """The state before the first step, K = 1; attention's keys are computed here, once."""
        return RnnState(self._first(memory).unsqueeze(1), (self.score.keys(memory.states), memory.states, memory.mask))

    def context(self, hidden: Tensor, sentence: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The context [B, K, D] and weights [B, K, S]."""
        keys, states, mask = sentence
        return attend(self.score(hidden, keys), mask, states)


CONTEXTS: dict[str, type[RnnDecoder]] = {"summary": SummaryDecoder, "attention": AttentionDecoder}


def rnn_decoder(options: RnnDecoderOptions, embedding: nn.Embedding, encoder: Encoder, dropout: float) -> RnnDecoder:
    """The recurrent decoder with the context that the options name."""
    return CONTEXTS[options.context](options, embedding, encoder, dropout)
