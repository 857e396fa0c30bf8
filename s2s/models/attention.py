"""Attention scores: how well a decoder query matches each memory position.

A: attention size. Queries have the decoder's hidden size H; K counts queries per sentence: target positions in teacher
forcing, hypotheses in search.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Score(nn.Module, ABC):
    """Base class of attention scores."""

    @abstractmethod
    def keys(self, states: Tensor) -> Tensor:
        """Project memory states [B, S, D] to keys [B, S, ...], once per sentence."""

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return scores [B, K, S] of queries [B, K, H] against keys [B, S, ...]."""


class AdditiveScore(Score):
    """Additive attention: e = v · tanh(W q + U h + b) (Bahdanau et al. 2015, A.1.2, with a bias)."""

    def __init__(self, hidden_size: int, memory_size: int, attention_size: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(hidden_size, attention_size)
        self.key_proj = nn.Linear(memory_size, attention_size, bias=False)
        self.v = nn.Parameter(torch.empty(attention_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw v anew, uniformly from ±1/√A."""
        bound = len(self.v) ** -0.5
        nn.init.uniform_(self.v, -bound, bound)

    def keys(self, states: Tensor) -> Tensor:
        """Project memory states [B, S, D] to keys [B, S, A]."""
        return self.key_proj(states)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return scores [B, K, S] of queries [B, K, H] against keys [B, S, A]."""
        return torch.tanh(self.query_proj(query).unsqueeze(2) + keys.unsqueeze(1)) @ self.v


class DotScore(Score):
    """Dot-product attention: e = q · h (Luong et al. 2015, equation 8, "dot"); requires H = D."""

    def keys(self, states: Tensor) -> Tensor:
        """Return the memory states [B, S, D] unchanged."""
        return states

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return scores [B, K, S] of queries [B, K, H] against keys [B, S, H]."""
        return query @ keys.transpose(1, 2)


class GeneralScore(DotScore):
    """Bilinear attention: e = q · W h (Luong et al. 2015, equation 8, "general")."""

    def __init__(self, hidden_size: int, memory_size: int) -> None:
        super().__init__()
        self.key_proj = nn.Linear(memory_size, hidden_size, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """Project memory states [B, S, D] to keys [B, S, H]."""
        return self.key_proj(states)


class ScaledDotScore(Score):
    """Scaled dot-product attention: e = W q · U h / √A (Vaswani et al. 2017, equation 1, one head)."""

    def __init__(self, hidden_size: int, memory_size: int, attention_size: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(hidden_size, attention_size, bias=False)
        self.key_proj = nn.Linear(memory_size, attention_size, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """Project memory states [B, S, D] to scaled keys [B, S, A]."""
        return self.key_proj(states) * self.key_proj.out_features**-0.5

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return scores [B, K, S] of queries [B, K, H] against keys [B, S, A]."""
        return self.query_proj(query) @ keys.transpose(1, 2)


SCORES: dict[str, Callable[[int, int, int], Score]] = {  # built from hidden, memory and attention size
    "additive": AdditiveScore,
    "dot": lambda hidden_size, memory_size, attention_size: DotScore(),
    "general": lambda hidden_size, memory_size, attention_size: GeneralScore(hidden_size, memory_size),
    "scaled_dot": ScaledDotScore,
}


def coverage_penalty(attention: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Return Σ_b Σ_i (T / S − Σ_t a_{t,i})² over B sentences (after Xu et al. 2015, equation 14).

    Xu et al. have 1 for T / S, which attention can only meet where a caption has as many tokens as the image positions.

    Attention [B, T, S], real target positions [B, T] bool, mask of source positions [B, S] bool; T and S of the
    equation count a sentence's own positions.
    """
    received = (attention * real.unsqueeze(2)).sum(1)
    share = real.sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    return ((share - received) * mask).square().sum()


def attend(scores: Tensor, mask: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Compute attention a = softmax(e) and context c = Σ_i a_i h_i (Bahdanau et al. 2015, equations 5 and 6).

    Scores [B, K, S], mask [B, S] bool, states [B, S, D] -> context [B, K, D], attention [B, K, S], which is exactly 0
    where the mask is False.
    """
    attention = scores.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(-1)
    return attention @ states, attention
