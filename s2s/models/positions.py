"""How a Transformer is told where a token stands: rows added to the embeddings, or an angle for queries and keys.

B sentences, T positions, D width of an embedding, N heads or more of them together, d width of a head.
"""

from abc import ABC

import torch
from torch import Tensor, nn

BASE = 10_000.0  # the slowest wave is about that many times longer than the fastest


class Positions(nn.Module, ABC):
    """What the positions 0 … T − 1 give: rows to add to embeddings, rotary of queries and keys, or None of them."""

    def added(self, count: int, like: Tensor) -> Tensor | None:
        """Rows [T, D] for embeddings, with the device and dtype of `like`."""
        return None

    def rotary(self, count: int, like: Tensor) -> Tensor | None:
        """Cosines and sines [2, T, d / 2] of the angles of `turned`, in float32 on the device of `like`."""
        return None


class SinusoidalPositions(Positions):
    """PE(p, 2i) = sin(p / 10000^(2i/D)), PE(p, 2i + 1) = cos of the same    Vaswani et al. 2017, section 3.5.

    Computed for the positions that are there, so that no length is the last.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def added(self, count: int, like: Tensor) -> Tensor:
        """Rows [T, D]."""
        angles = _angles(count, self.width, like.device)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like.dtype)


class LearnedPositions(Positions):
    """A table; positions behind its end share its last row."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(rows, width).normal_(std=width**-0.5))

    def added(self, count: int, like: Tensor) -> Tensor:
        """Rows [T, D]."""
        rows = torch.arange(count, device=self.table.device).clamp(max=len(self.table) - 1)
        return self.table[rows].to(like.dtype)


class RotaryPositions(Positions):
    """Angles p · 10000^(−2i/d) for the pairs i of a head    Su et al. 2021, equation 15."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width

    def rotary(self, count: int, like: Tensor) -> Tensor:
        """Cosines and sines [2, T, d / 2]."""
        angles = _angles(count, self.head_width, like.device)
        return torch.stack((angles.cos(), angles.sin()))


def apply_rotary(vectors: Tensor, rotary: Tensor) -> Tensor:
    """Vectors [B, T, N, d], each pair (x_2i, x_2i+1) turned by its position's angle; `rotary` [2, T, d / 2].

    The product of two turned vectors knows the distance of their positions alone (Su et al. 2021, equation 34).
    """
    cosine, sine = rotary.unsqueeze(2)
    even, odd = vectors.unflatten(-1, (-1, 2)).float().unbind(-1)
    pairs = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1)
    return pairs.flatten(-2).to(vectors.dtype)


def _angles(count: int, width: int, device: torch.device) -> Tensor:
    """Angles p · 10000^(−2i/width), [T, width / 2] in float32."""
    rates = BASE ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    return torch.arange(count, device=device, dtype=torch.float32).unsqueeze(1) * rates
