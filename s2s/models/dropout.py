"""Dropout with a mask of random bytes: on a CPU several times cheaper to draw than one of floats."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEVELS = 256  # values of a byte: the probability is rounded to a multiple of 1/256, and the scale uses the rounded one


class Dropout(nn.Module):
    """Zero elements with probability p (rounded to 1/256) and scale the others by 1 / (1 − p), while training.

    Srivastava et al. 2014. With `variational`, all indices of the first dimension share one mask, as Gal and Ghahramani
    2016 do over time.
    """

    def __init__(self, probability: float, *, variational: bool = False) -> None:
        super().__init__()
        self.dropped = round(probability * LEVELS)
        self.variational = variational

    def forward(self, values: Tensor) -> Tensor:
        """Apply dropout: values [...] -> [...]."""
        if not (self.training and self.dropped):
            return values
        shape = values[:1].shape if self.variational else values.shape
        return _ByteDropout.apply(values, shape, self.dropped)


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, shape: torch.Size, dropped: int) -> Tensor:
        """Apply a mask of `shape`: values [...] -> [...]."""
        words = torch.empty((shape.numel() + 7) // 8, dtype=torch.int64, device=values.device)
        random_bytes = words.random_(-(2**63), None).view(torch.uint8)[: shape.numel()].view(shape)
        ctx.scale = LEVELS / (LEVELS - dropped)
        ctx.save_for_backward(kept := random_bytes.ge_(dropped))  # as bytes: faster to multiply with than bools
        return torch.mul(values, kept).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of values [...]."""
        (kept,) = ctx.saved_tensors
        return torch.mul(grad, kept).mul_(ctx.scale), None, None
