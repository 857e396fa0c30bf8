"""Results of operations by their shapes alone, on the meta device.

Torch knows them, too, but for these operations it asks Python code that imports its compiler, which takes longer than
all the rest of a plan.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

aten = torch.ops.aten


def _alike(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return values.new_empty(values.shape)


def _itself(values: Any, *_: Any, **__: Any) -> Any:
    return values


def _pointwise(left: Tensor, right: Tensor | float, **_: Any) -> Tensor:
    shape = np.broadcast_shapes(left.shape, getattr(right, "shape", ()))
    return left.new_empty(shape, dtype=torch.result_type(left, right))


def _quotient(left: Tensor, right: Tensor | float) -> Tensor:
    found = _pointwise(left, right)
    return found if found.is_floating_point() else found.new_empty(found.shape, dtype=torch.get_default_dtype())


def _comparison(left: Tensor, right: Tensor | float) -> Tensor:
    return left.new_empty(np.broadcast_shapes(left.shape, getattr(right, "shape", ())), dtype=torch.bool)


def _where(condition: Tensor, left: Tensor, right: Tensor) -> Tensor:
    shape = np.broadcast_shapes(condition.shape, left.shape, right.shape)
    return left.new_empty(shape, dtype=torch.result_type(left, right))


def _range(*bounds: int, **how: Any) -> Tensor:
    return torch.empty(len(range(*bounds)), dtype=how.get("dtype") or torch.long, device="meta")


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape.insert(dim % (len(shape) + 1), len(tensors))
    return tensors[0].new_empty(shape)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return tensors[0].new_empty(shape)


def _mean(values: Tensor, dims: Sequence[int], keepdim: bool = False, **_: Any) -> Tensor:
    gone = {dim % values.dim() for dim in dims}
    shape = [1 if dim in gone else size for dim, size in enumerate(values.shape) if keepdim or dim not in gone]
    return values.new_empty(shape)


def _layer_norm(values: Tensor, shape: Sequence[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    moments = [*values.shape[: -len(shape)], *(1 for _ in shape)]
    mean, deviation = (values.new_empty(moments, dtype=torch.float32) for _ in range(2))
    return _alike(values), mean, deviation


def _layer_norm_backward(
    gradient: Tensor,
    values: Tensor,
    shape: Sequence[int],
    mean: Tensor,
    deviation: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    parts = zip((values, weight, bias), wanted, strict=True)
    return tuple(_alike(part) if part is not None and want else None for part, want in parts)


RESULTS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys([aten.neg.default, aten.sin.default, aten.cos.default, aten.exp.default, aten.log.default], _alike),
    **dict.fromkeys([aten.relu.default, aten.threshold_backward.default, aten.tril.default], _alike),
    **dict.fromkeys([aten._safe_softmax.default, aten._softmax_backward_data.default], _alike),
    **dict.fromkeys([aten.normal_.default, aten.ge_.Scalar], _itself),
    **dict.fromkeys([aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.mul.Scalar], _pointwise),
    **dict.fromkeys([aten.lt.Tensor, aten.ne.Scalar], _comparison),
    **dict.fromkeys([aten.arange.default, aten.arange.start, aten.arange.start_step], _range),
    aten.cat.default: _cat,
    aten.div.Tensor: _quotient,
    aten.embedding.default: lambda table, ids, *_: table.new_empty(*ids.shape, table.shape[-1]),
    aten.linalg_qr.default: lambda values, *_: (values, values),  # orthogonal weights are not made
    aten.mean.default: lambda values, **_: values.new_empty(()),
    aten.mean.dim: _mean,
    aten.native_layer_norm.default: _layer_norm,
    aten.native_layer_norm_backward.default: _layer_norm_backward,
    aten.pow.Scalar: lambda base, exponent: _alike(exponent),
    aten.stack.default: _stack,
    aten.where.self: _where,
}
