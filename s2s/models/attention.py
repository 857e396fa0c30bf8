"""Attention scores: how well a decoder's query fits each position of the memory.

B sentences, K queries of each (target positions in training, hypotheses in search), S source positions,
Q width of a query, D width of the memory, A width of the score, N width of a key.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Score(nn.Module, ABC):
    """Scores e of queries against the positions of a memory."""

    @abstractmethod
    def keys(self, states: Tensor) -> Tensor:
        """Return the score's keys, computed once per sentence: [B, S, D] -> [B, S, N]."""

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores [B, K, S] of queries [B, K, Q] against keys [B, S, N]."""


class AdditiveScore(Score):
    """e = v · tanh(W q + U h + b)    Bahdanau et al. 2015, appendix A.1.2 (b added)."""

    def __init__(self, query_width: int, memory_width: int, width: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(query_width, width)
        self.key_proj = nn.Linear(memory_width, width, bias=False)
        self.v = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def keys(self, states: Tensor) -> Tensor:
        """U h: [B, S, D] -> [B, S, A]."""
        return self.key_proj(states)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores [B, K, S] of queries [B, K, Q] against keys [B, S, A]."""
        return torch.tanh(self.query_proj(query).unsqueeze(2) + keys.unsqueeze(1)) @ self.v


class DotScore(Score):
    """e = q · h    Luong et al. 2015, equation 8, dot. Queries are as wide as the memory."""

    def keys(self, states: Tensor) -> Tensor:
        """Return the states h unchanged, [B, S, D]."""
        return states

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores [B, K, S] of queries [B, K, D] against keys [B, S, D]."""
        return query @ keys.transpose(1, 2)


class GeneralScore(DotScore):
    """e = q · W h    Luong et al. 2015, equation 8, general."""

    def __init__(self, query_width: int, memory_width: int) -> None:
        super().__init__()
        self.key_proj = nn.Linear(memory_width, query_width, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """W h: [B, S, D] -> [B, S, Q]."""
        return self.key_proj(states)


class ScaledDotScore(Score):
    """e = W q · U h / √A    Vaswani et al. 2017, equation 1, of one head."""

    def __init__(self, query_width: int, memory_width: int, width: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(query_width, width, bias=False)
        self.key_proj = nn.Linear(memory_width, width, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """U h / √A: [B, S, D] -> [B, S, A]."""
        return self.key_proj(states) * self.key_proj.out_features**-0.5

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores [B, K, S] of queries [B, K, Q] against keys [B, S, A]."""
        return self.query_proj(query) @ keys.transpose(1, 2)


SCORES: dict[str, Callable[[int, int, int], Score]] = {  # of the widths of query, memory and score
    "additive": AdditiveScore,
    "dot": lambda query, memory, width: DotScore(),
    "general": lambda query, memory, width: GeneralScore(query, memory),
    "scaled_dot": ScaledDotScore,
}


def attend(scores: Tensor, mask: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Compute a = softmax(e), c = Σ_i a_i h_i (Bahdanau et al. 2015, equations 5 and 6).

    Scores [B, K, S], mask [B, S] bool, states [B, S, D] -> context [B, K, D], attention [B, K, S], exactly 0 where mask
    is False.
    """
    attention = scores.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(-1)
    return attention @ states, attention
