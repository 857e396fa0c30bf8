"""Dropout; on a CPU with a mask of random bytes, which are several times cheaper to draw than floats."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from s2s.devices.runtime import tuning

TOLERANCE = 0.05  # by which rounding to 8 bits may change the probability of dropping or of keeping; else 16 are used


class Dropout(nn.Module):
    """Zero elements with probability p and scale the others by 1 / (1 − p), while training (Srivastava et al. 2014).

    p is rounded to a multiple of 1/256, or of 1/65,536 if it is near 0 or 1, on every device; the scale is that of the
    rounded p.
    With `variational`, all indices of the first dimension share one mask, as Gal and Ghahramani 2016 do over time.
    """

    def __init__(self, probability: float, *, variational: bool = False) -> None:
        super().__init__()
        error = abs(round(probability * 256) / 256 - probability)
        self.levels = 256 if error <= TOLERANCE * min(probability, 1 - probability) else 65_536
        dropped = max(round(probability * self.levels), int(probability > 0))
        self.dropped = min(dropped, self.levels - 1)  # of the values of a random number
        self.variational = variational

    def forward(self, values: Tensor) -> Tensor:
        """Apply dropout: values [...] -> [...]."""
        if not (self.training and self.dropped):
            return values
        if tuning(values.device.type).byte_dropout:
            shape = values[:1].shape if self.variational else values.shape
            return _MaskedDropout.apply(values, shape, self.dropped, self.levels)
        probability = self.dropped / self.levels
        if self.variational:
            return values * torch.native_dropout(values.new_ones(values[:1].shape), probability, True)[0]
        # what functional.dropout runs on a GPU; called by name, a dry run also counts its mask of bools
        return torch.native_dropout(values, probability, True)[0]


class _MaskedDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, shape: torch.Size, dropped: int, levels: int) -> Tensor:
        """Apply a mask of `shape`: values [...] -> [...]."""
        kind, least = (torch.uint8, 0) if levels == 256 else (torch.int16, -(levels // 2))
        words = torch.empty((shape.numel() * kind.itemsize + 7) // 8, dtype=torch.int64, device=values.device)
        numbers = words.random_(-(2**63), None).view(kind)[: shape.numel()].view(shape)
        ctx.scale = levels / (levels - dropped)
        kept = numbers.ge_(dropped + least).to(torch.uint8)  # as bytes: faster to multiply with than bools
        ctx.save_for_backward(kept)
        return torch.mul(values, kept).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of values [...]."""
        (kept,) = ctx.saved_tensors
        return torch.mul(grad, kept).mul_(ctx.scale), None, None, None
