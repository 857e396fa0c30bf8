"""Dropout whose mask is drawn as random bytes: on a CPU several times cheaper than one drawn as floats."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEVELS = (
    256  # a byte's values: the probability is rounded to a multiple of 1/256, and the scale follows the rounded one
)


class Dropout(nn.Module):
    """Zero a unit with probability p (rounded to 1/256) and scale the others by 1 / (1 − p), while training.

    Srivastava et al. 2014; with `variational` the same units at every index of the first dimension, as Gal and
    Ghahramani 2016 do over time. `forward` keeps the shape of what it is given.
    """

    def __init__(self, probability: float, *, variational: bool = False) -> None:
        super().__init__()
        self.dropped = round(probability * LEVELS)
        self.variational = variational

    def forward(self, values: Tensor) -> Tensor:
        """Values [...] -> [...]."""
        if not (self.training and self.dropped):
            return values
        shape = values[:1].shape if self.variational else values.shape
        return _ByteDropout.apply(values, shape, self.dropped)


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, shape: torch.Size, dropped: int) -> Tensor:
        """Values [...] -> [...], with a mask of `shape`."""
        words = torch.empty((shape.numel() + 7) // 8, dtype=torch.int64, device=values.device)
        drawn = words.random_(-(2**63), None).view(torch.uint8)[: shape.numel()].view(shape)
        ctx.scale = LEVELS / (LEVELS - dropped)
        ctx.save_for_backward(kept := drawn.ge_(dropped))  # as bytes: quicker to multiply with than bools
        return _masked(values, kept, ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return _masked(grad, kept, ctx.scale), None, None


def _masked(values: Tensor, kept: Tensor, scale: float) -> Tensor:
    return torch.mul(values, kept).mul_(scale)
