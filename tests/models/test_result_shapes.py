"""Results by shapes alone are those that torch itself gives on the meta device: shape and dtype."""

from typing import Any

import pytest
import torch

from s2s.models.result_shapes import RESULTS, aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


X, HALF, IDS = meta(3, 5, 7), meta(3, 5, 7, dtype=torch.bfloat16), meta(3, 5, dtype=torch.long)
MASK, ROW, SCALAR = meta(3, 1, 7, dtype=torch.bool), meta(5, 7), meta()
COUNT = meta(dtype=torch.long)
STATISTICS = meta(3, 5, 1)
ON_META = {"device": torch.device("meta"), "pin_memory": False}

CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    *((function, (X,), {}) for function in (aten.neg.default, aten.sin.default, aten.cos.default)),
    *((function, (HALF,), {}) for function in (aten.exp.default, aten.log.default, aten.relu.default)),
    (aten.threshold_backward.default, (X, X, 0), {}),
    (aten.tril.default, (MASK.expand(3, 7, 7),), {}),
    (aten.tril.default, (ROW, -1), {}),
    (aten._safe_softmax.default, (X, -1), {}),
    (aten._safe_softmax.default, (HALF, -1), {}),
    (aten._softmax_backward_data.default, (X, X, -1, torch.float32), {}),
    (aten.normal_.default, (X, 0.0, 1.0), {}),
    (aten.ge_.Scalar, (X, 0.3), {}),
    (aten.add.Tensor, (X, ROW), {"alpha": 2}),
    (aten.add.Tensor, (ROW, X), {}),
    (aten.add.Tensor, (HALF, X), {}),
    (aten.sub.Tensor, (X, STATISTICS), {}),
    (aten.mul.Tensor, (X, SCALAR), {}),
    (aten.mul.Tensor, (HALF, SCALAR), {}),
    (aten.mul.Tensor, (IDS, 3), {}),
    (aten.mul.Scalar, (HALF, 0.5), {}),
    (aten.mul.Scalar, (IDS, 0.5), {}),
    (aten.lt.Tensor, (meta(5, dtype=torch.long), meta(3, 1, dtype=torch.long)), {}),
    (aten.ne.Scalar, (IDS, 0), {}),
    (aten.arange.default, (7,), ON_META),
    (aten.arange.start, (2, 7), ON_META),
    (aten.arange.start_step, (0, 8, 3), ON_META | {"dtype": torch.float32}),
    (aten.cat.default, ([X, meta(3, 2, 7)], 1), {}),
    (aten.cat.default, ([X, meta(3, 5, 2)], -1), {}),
    (aten.cat.default, ([X, X],), {}),
    (aten.div.Tensor, (X, COUNT), {}),
    (aten.div.Tensor, (IDS, COUNT), {}),
    (aten.div.Tensor, (IDS, 2), {}),
    (aten.embedding.default, (ROW, IDS), {}),
    (aten.embedding.default, (ROW, IDS, 0), {}),
    (aten.linalg_qr.default, (meta(5, 5),), {}),
    (aten.mean.default, (X,), {}),
    (aten.mean.dim, (X, [-1]), {}),
    (aten.mean.dim, (X, [0, 2], True), {}),
    (aten.native_layer_norm.default, (X, [7], meta(7), meta(7), 1e-5), {}),
    (aten.native_layer_norm.default, (X, [5, 7], None, None, 1e-5), {}),
    (
        aten.native_layer_norm_backward.default,
        (X, X, [7], STATISTICS, STATISTICS, meta(7), meta(7), [True, True, True]),
        {},
    ),
    (
        aten.native_layer_norm_backward.default,
        (X, X, [7], STATISTICS, STATISTICS, meta(7), None, [False, True, False]),
        {},
    ),
    (aten.pow.Scalar, (10_000.0, ROW), {}),
    (aten.stack.default, ([X, X],), {}),
    (aten.stack.default, ([X, X, X], -1), {}),
    (aten.where.self, (MASK, X, SCALAR), {}),
    (aten.where.self, (MASK, meta(1, 5, 1), HALF), {}),
]


def told(found: Any) -> list[Any]:
    values = found if isinstance(found, (tuple, list)) else [found]
    return [None if value is None else (value.shape, value.dtype, value.device.type) for value in values]


@pytest.mark.parametrize(("function", "arguments", "more"), CALLS, ids=[str(call[0]) for call in CALLS])
def test_as_torch_says(function: Any, arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
    assert told(RESULTS[function](*arguments, **more)) == told(function(*arguments, **more))


def test_each_is_held_against_torch() -> None:
    assert {function for function, _, _ in CALLS} == set(RESULTS)
