"""The recurrent encoder: layers of cells, read in one direction or both.

B sentences, S source positions, G directions, W units of a direction, P × W numbers of a cell's state, N × W of its
gates, D = G × W width of the memory.
"""

import torch
from torch import Tensor, nn

from s2s.models.cells import CELL_STEPS, initialise
from s2s.models.dropout import Dropout
from s2s.models.interface import Encoder, Memory, MemorySpec, Source, TokenInput
from s2s.models.recurrence import recurrence
from s2s.recipe.model import RnnEncoderOptions


class RnnEncoder(Encoder):
    """Elman networks, GRUs or LSTMs, bidirectional (Schuster and Paliwal 1997) or not.

    The summary is the final states of all layers and directions, c of an LSTM included: E = layers × G × P × W.
    """

    def __init__(self, options: RnnEncoderOptions, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        directions = (False, True) if options.bidirectional else (options.reverse_source,)
        D = len(directions) * options.hidden_size
        self.spec = MemorySpec(states=D, summary=options.layers * D * CELL_STEPS[options.cell].parts)
        self.embedding = embedding
        widths = [embedding.embedding_dim, *[D] * (options.layers - 1)]
        self.layers = nn.ModuleList(RnnLayer(options.cell, width, options.hidden_size, directions) for width in widths)
        self.dropout = Dropout(dropout, variational=options.variational)

    def forward(self, source: Source) -> Memory:
        """Encode B sentences, each with at least one token, into states [B, S, D]."""
        assert isinstance(source, TokenInput)
        ids, lengths = source.ids, source.lengths
        S = ids.shape[1]
        positions = torch.arange(S, device=ids.device)
        mirrored = _mirrored(positions, lengths)
        values = self.embedding(ids.t())
        finals = []
        for layer in self.layers:
            values, final = layer(self.dropout(values), lengths, mirrored)
            finals.append(final)
        return Memory(
            states=self.dropout(values).transpose(0, 1),
            mask=positions < lengths.unsqueeze(1),
            summary=self.dropout(torch.cat(finals, dim=1).unsqueeze(0)).squeeze(0),
        )


class RnnLayer(nn.Module):
    """One layer of G directions; each of them says whether it reads from the sentence's end."""

    def __init__(self, cell: str, input_size: int, hidden_size: int, directions: tuple[bool, ...]) -> None:
        super().__init__()
        self.kind = CELL_STEPS[cell]
        self.hidden_size = hidden_size
        self.directions = directions
        G, N = len(directions), self.kind.gates
        self.input_proj = nn.Linear(input_size, G * N * hidden_size)
        self.recurrent_proj = nn.Parameter(torch.empty(G, hidden_size, N * hidden_size))
        self.bias = nn.Parameter(torch.empty(G, 1, N * hidden_size))
        for weight, bias in zip(self.recurrent_proj.data, self.bias.data, strict=True):
            initialise(self.kind, weight, bias)

    def forward(self, values: Tensor, lengths: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Values [S, B, N] -> outputs [S, B, D] in the order of the source, and final states [B, G × P × W]."""
        B, G = values.shape[1], len(self.directions)
        shares = self.input_proj(values).float().chunk(G, dim=-1)
        inputs = torch.stack([self._in_reading_order(share, g, mirrored) for g, share in enumerate(shares)], dim=1)
        start = inputs.new_zeros(G, B, self.kind.parts * self.hidden_size)
        states = recurrence(self.kind, inputs, start, self.recurrent_proj, self.bias)
        final = states[lengths - 1, :, torch.arange(B, device=lengths.device)]
        outputs = [self._in_reading_order(states[:, g, :, : self.hidden_size], g, mirrored) for g in range(G)]
        return torch.cat(outputs, dim=-1), final.flatten(1)

    def _in_reading_order(self, values: Tensor, direction: int, mirrored: Tensor) -> Tensor:
        """Values [S, B, N] in the order in which a direction reads, or from that order back to the source's."""
        return _permute(values, mirrored) if self.directions[direction] else values


def _mirrored(positions: Tensor, lengths: Tensor) -> Tensor:
    """Return the positions [S, B] that reverse each sentence and leave padding in place."""
    mirrored = lengths - 1 - positions.unsqueeze(1)
    return torch.where(mirrored >= 0, mirrored, positions.unsqueeze(1))


def _permute(values: Tensor, order: Tensor) -> Tensor:
    """Values [S, B, N] in the order [S, B] of positions."""
    S, B = order.shape
    rows = order * B + torch.arange(B, device=order.device)
    return values.reshape(S * B, -1).index_select(0, rows.flatten()).view(S, B, -1)
