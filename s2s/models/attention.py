"""Attention scores: how well a decoder's query fits each position of the memory.

B sentences, K queries of each (target positions in training, hypotheses in search), S source positions,
Q width of a query, D width of the memory, A width of the score.
"""

import torch
from torch import Tensor, nn


class AdditiveScore(nn.Module):
    """e = v · tanh(W q + U h + b)    Bahdanau et al. 2015, appendix A.1.2 (b added)."""

    def __init__(self, query_width: int, memory_width: int, width: int) -> None:
        super().__init__()
        self.of_query = nn.Linear(query_width, width)
        self.of_memory = nn.Linear(memory_width, width, bias=False)
        self.v = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def keys(self, states: Tensor) -> Tensor:
        """U h, once per sentence: [B, S, D] -> [B, S, A]."""
        return self.of_memory(states)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores [B, K, S] of queries [B, K, Q] against keys [B, S, A]."""
        return torch.tanh(self.of_query(query).unsqueeze(2) + keys.unsqueeze(1)) @ self.v


def attend(scores: Tensor, mask: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """A = softmax(e), c = Σ_i a_i h_i (Bahdanau et al. 2015, equations 5 and 6).

    Scores [B, K, S], mask [B, S] bool, states [B, S, D] -> context [B, K, D], weights [B, K, S], exactly 0 where mask
    is False.
    """
    weights = scores.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(-1)
    return weights @ states, weights
