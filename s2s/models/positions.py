"""Positional information of a Transformer: rows added to the embeddings, or rotations of queries and keys.

d: size of one head, H / N.
"""

from abc import ABC

import torch
from torch import Tensor, nn

BASE = 10_000.0  # ratio of the longest wavelength to the shortest


class Positions(nn.Module, ABC):
    """Base class. Positions are added to embeddings or rotate queries and keys; the other method returns None."""

    def added(self, count: int, like: Tensor) -> Tensor | None:
        """Return rows [T, H] to add to the embeddings of `count` positions, with dtype and device of `like` [...]."""
        return None

    def rotary(self, count: int, like: Tensor) -> Tensor | None:
        """Return the cosines and sines [2, T, d / 2] for `apply_rotary`, in fp32 on the device of `like` [...]."""
        return None


class SinusoidalPositions(Positions):
    """PE(p, 2i) = sin(p / 10000^(2i/H)), PE(p, 2i + 1) = cos(p / 10000^(2i/H)) (Vaswani et al. 2017, section 3.5).

    Rows are computed on demand, so there is no maximum length.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size

    def added(self, count: int, like: Tensor) -> Tensor:
        """Return rows [T, H] for `count` positions, with dtype and device of `like` [...]."""
        angles = _angles(count, self.hidden_size, like.device)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like.dtype)


class LearnedPositions(Positions):
    """A learned table of rows; positions beyond its end use the last row."""

    def __init__(self, max_positions: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(max_positions, hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew from N(0, 1/H)."""
        nn.init.normal_(self.table, std=self.table.shape[1] ** -0.5)

    def added(self, count: int, like: Tensor) -> Tensor:
        """Return rows [T, H] for `count` positions, with dtype and device of `like` [...]."""
        rows = torch.arange(count, device=self.table.device).clamp(max=len(self.table) - 1)
        return self.table[rows].to(like.dtype)


class RotaryPositions(Positions):
    """Rotate the i-th pair of features of a head by p · 10000^(−2i/d) (Su et al. 2021, equation 15)."""

    def __init__(self, head_size: int) -> None:
        super().__init__()
        self.head_size = head_size

    def rotary(self, count: int, like: Tensor) -> Tensor:
        """Return cosines and sines [2, T, d / 2] for `count` positions, in fp32 on the device of `like` [...]."""
        angles = _angles(count, self.head_size, like.device)
        return torch.stack((angles.cos(), angles.sin()))


def apply_rotary(vectors: Tensor, rotary: Tensor) -> Tensor:
    """Rotate each pair (x_2i, x_2i+1) of vectors [B, T, N, d] by its position's angle.

    `rotary` [2, T, d / 2], or [2, B, T, d / 2] if positions differ between sentences.
    The dot product of two rotated vectors depends on their distance only (Su et al. 2021, equation 34).
    """
    cosine, sine = rotary.unsqueeze(-2)
    even, odd = vectors.unflatten(-1, (-1, 2)).float().unbind(-1)
    pairs = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1)
    return pairs.flatten(-2).to(vectors.dtype)


def _angles(count: int, size: int, device: torch.device) -> Tensor:
    """Return the angles p · 10000^(−2i/size) [T, size / 2] in fp32."""
    rates = BASE ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    return torch.arange(count, device=device, dtype=torch.float32).unsqueeze(1) * rates
