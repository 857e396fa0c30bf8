"""Empty results of operations on meta tensors whose shapes are easy to compute.

Torch takes milliseconds to find each of them, and imports its compiler first.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
LIKE_FIRST = (
    *(aten.gelu, aten.relu, aten.tanh, aten.gelu_backward, aten.threshold_backward, aten.tanh_backward),
    *(aten.native_dropout_backward, aten.bitwise_not, aten.clamp, aten.tril, aten.log, aten.neg, aten.sin, aten.cos),
)
BINARY = (aten.add, aten.sub, aten.mul)


def plain_result(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return the result of an operation of `PLAIN`; None for others."""
    if func in (aten.arange.default, aten.arange.start_step):
        return torch.empty(len(range(*args)), **kwargs) if kwargs.get("dtype") else None
    if func is aten.pow.Scalar:
        return torch.empty_like(args[1])
    found = PLAIN.get(func.overloadpacket)
    return found(*args) if found else None


def _like(values: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(values)


def _binary(left: Tensor, right: Any, *_: Any) -> Tensor:
    return left.new_empty(_broadcast(left, right), dtype=torch.result_type(left, right))


def _quotient(left: Tensor, right: Any, *_: Any) -> Tensor | None:
    return _binary(left, right) if left.is_floating_point() else None


def _less(left: Tensor, right: Any) -> Tensor:
    return left.new_empty(_broadcast(left, right), dtype=torch.bool)


def _broadcast(left: Tensor, right: Any) -> torch.Size:
    return torch.broadcast_shapes(left.shape, getattr(right, "shape", ()))


def _dropout(values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(values), torch.empty_like(values, dtype=torch.bool)


def _layer_norm(values: Tensor, normalized: list[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    count = len(normalized)
    statistic = values.new_empty(*values.shape[:-count], *[1] * count, dtype=torch.float32)
    return torch.empty_like(values), statistic, torch.empty_like(statistic)


def _layer_norm_backward(*args: Any) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(args[index]) for index in (1, 5, 6))  # by values, gains and biases


def _cat(parts: list[Tensor], dim: int = 0) -> Tensor:
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    return parts[0].new_empty(shape)


def _stack(parts: list[Tensor], dim: int = 0) -> Tensor:
    shape = list(parts[0].shape)
    shape.insert(dim % (len(shape) + 1), len(parts))
    return parts[0].new_empty(shape)


def _mean(values: Tensor, dims: list[int] | None = None, keepdim: bool = False) -> Tensor:
    left_out = {dim % values.dim() for dim in (range(values.dim()) if dims is None else dims)}
    shape = list(enumerate(values.shape))
    return values.new_empty([1 if n in left_out else size for n, size in shape if keepdim or n not in left_out])


PLAIN: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys(LIKE_FIRST, _like),
    **dict.fromkeys(BINARY, _binary),
    aten.div: _quotient,
    aten.lt: _less,
    aten.native_dropout: _dropout,
    aten.native_layer_norm: _layer_norm,
    aten.native_layer_norm_backward: _layer_norm_backward,
    aten.cat: _cat,
    aten.stack: _stack,
    aten.mean: _mean,
}
