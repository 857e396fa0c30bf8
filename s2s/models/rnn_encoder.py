"""Recurrent encoders: stacked layers of cells that read the source in one direction or both.

G: gates of a cell; P: parts of a cell's state; R: directions. H is the hidden size of one direction, so D = R × H.
"""

import torch
from torch import Tensor, nn

from s2s.models.cells import CELL_STEPS, init_recurrent
from s2s.models.dropout import Dropout
from s2s.models.interface import Encoder, Memory, MemorySpec, Source, TokenInput
from s2s.models.recurrence import recurrence
from s2s.recipe.sides import RnnEncoderOptions


class RnnEncoder(Encoder):
    """Tanh RNN, GRU or LSTM, unidirectional or bidirectional (Schuster and Paliwal 1997).

    The summary holds the final states of all layers and directions, including an LSTM's c: M = layers × R × P × H.
    """

    def __init__(self, options: RnnEncoderOptions, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        reverse = (False, True) if options.bidirectional else (options.reverse_source,)
        D = len(reverse) * options.hidden_size
        self.spec = MemorySpec(states=D, summary=options.layers * D * CELL_STEPS[options.cell].parts)
        self.embedding = embedding
        input_sizes = [embedding.embedding_dim, *[D] * (options.layers - 1)]
        self.layers = nn.ModuleList(RnnLayer(options.cell, size, options.hidden_size, reverse) for size in input_sizes)
        self.dropout = Dropout(dropout, variational=options.variational)

    def forward(self, source: Source) -> Memory:
        """Encode B sentences of at least one token each: ids [B, S] -> states [B, S, D], summary [B, M]."""
        assert isinstance(source, TokenInput)
        ids, lengths = source.ids, source.lengths
        positions = torch.arange(ids.shape[1], device=ids.device)
        reversal = _reversal(positions, lengths)
        values = self.embedding(ids.t())
        finals = []
        for layer in self.layers:
            values, final = layer(self.dropout(values), lengths, reversal)
            finals.append(final)
        return Memory(
            states=self.dropout(values).transpose(0, 1),
            mask=positions < lengths.unsqueeze(1),
            summary=self.dropout(torch.cat(finals, dim=1).unsqueeze(0)).squeeze(0),
        )


class RnnLayer(nn.Module):
    """One layer of R directions; `reverse` says for each whether it reads from the end of the sentence."""

    def __init__(self, cell: str, input_size: int, hidden_size: int, reverse: tuple[bool, ...]) -> None:
        super().__init__()
        self.kind = CELL_STEPS[cell]
        self.hidden_size = hidden_size
        self.reverse = reverse
        R, G = len(reverse), self.kind.gates
        self.input_proj = nn.Linear(input_size, R * G * hidden_size)
        self.recurrent_proj = nn.Parameter(torch.empty(R, hidden_size, G * hidden_size))
        self.bias = nn.Parameter(torch.empty(R, 1, G * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize the recurrent projection of each direction; the input's keeps PyTorch's default."""
        for weight, bias in zip(self.recurrent_proj, self.bias, strict=True):
            init_recurrent(self.kind, weight, bias)

    def forward(self, values: Tensor, lengths: Tensor, reversal: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [S, B, D] in source order and final states [B, R × P × H], from values [S, B, ...].

        `lengths` [B]; `reversal` [S, B] holds the positions in reverse reading order.
        """
        B, R = values.shape[1], len(self.reverse)
        chunks = self.input_proj(values).float().chunk(R, dim=-1)
        inputs = torch.stack([self._reorder(chunk, r, reversal) for r, chunk in enumerate(chunks)], dim=1)
        start = inputs.new_zeros(R, B, self.kind.parts * self.hidden_size)
        states = recurrence(self.kind, inputs, start, self.recurrent_proj, self.bias)
        final = states[lengths - 1, :, torch.arange(B, device=lengths.device)]
        outputs = [self._reorder(states[:, r, :, : self.hidden_size], r, reversal) for r in range(R)]
        return torch.cat(outputs, dim=-1), final.flatten(1)

    def _reorder(self, values: Tensor, direction: int, reversal: Tensor) -> Tensor:
        """Convert values [S, B, ...] from source order to a direction's reading order, or back."""
        if not self.reverse[direction]:
            return values
        S, B = reversal.shape
        rows = reversal * B + torch.arange(B, device=reversal.device)
        return values.reshape(S * B, -1).index_select(0, rows.flatten()).view(S, B, -1)


def _reversal(positions: Tensor, lengths: Tensor) -> Tensor:
    """Return the positions [S, B] that reverse each sentence and leave padding in place."""
    positions = positions.unsqueeze(1)
    reversal = lengths - 1 - positions
    return torch.where(reversal >= 0, reversal, positions)
