"""Count the computation and memory of a network on the meta device, without computing anything.

Tensors on the meta device have a shape but no data. `DryRun` intercepts the operations on them, counts the FLOPs of
matrix products and adds up the bytes that the tensors would occupy. Results that depend on data are those of a batch
without padding.
"""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from s2s.models.plain_results import plain_result

aten = torch.ops.aten

INITIALIZERS = {aten.normal_, aten.uniform_, aten.zero_, aten.fill_}
PRODUCTS = {
    aten.mm,
    aten.addmm,
    aten.bmm,
    aten.baddbmm,
    aten.mv,
    aten.addmv,
    aten.dot,
}  # of the last two arguments
AUTOCAST_OPERATIONS = {  # computed in bfloat16 under autocast
    *(torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm, Tensor.matmul, Tensor.mm, Tensor.bmm),
    *(Tensor.__matmul__, Tensor.__rmatmul__, F.linear, F.scaled_dot_product_attention, F.conv2d),
}


class DryRun(TorchDispatchMode):
    """Counter of `flops`, of the `bytes` of live tensors created in its context, and of their `peak`.

    A product of [n, m] and [m, p] counts 2 n m p FLOPs. Elementwise operations are not counted, as is usual (Kaplan et
    al. 2020, section 2.1).
    """

    def __init__(self, outside: Iterable[Tensor] = ()) -> None:
        """Start counting; the bytes of the `outside` tensors are not counted."""
        super().__init__()
        self.flops = self.bytes = self.peak = 0
        self._known = {_key(tensor) for tensor in outside}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False; otherwise torch imports its compiler just to exclude this mode from it."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it and its result."""
        result = self._result(func, args, kwargs or {})
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor):
                self._count(value)
        return result

    def _result(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        packet = func.overloadpacket
        if packet in PRODUCTS:
            return self._product(args[-2], args[-1], kwargs.get("out"))
        if (plain := plain_result(func, args, kwargs)) is not None:
            return plain
        if packet in INITIALIZERS:  # torch would import its compiler to run these on meta tensors
            return args[0]
        result = func(*args, **kwargs)
        if packet in flop_registry:  # fused attention, convolutions
            self.flops += flop_registry[packet](*args, **kwargs, out_val=result)
        return result

    def _product(self, left: Tensor, right: Tensor, out: Tensor | None) -> Tensor:
        """Return an empty product of left [..., n, m] and right [..., m, p] or [m], and count its FLOPs."""
        columns = right.shape[-1:] if right.dim() > 1 else right.shape[:0]
        self.flops += 2 * left.numel() * columns.numel()
        if out is not None:
            return out
        return left.new_empty(left.shape[:-1] + columns)

    def _count(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._known:
            return
        self._known.add(key)
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._freed, key, storage.nbytes()).atexit = False

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


class DryAutocast(TorchFunctionMode):
    """Emulation of torch.autocast on meta tensors, which autocast itself ignores.

    Inside regions of `torch.autocast("cpu")`, factors of matrix products are converted to its dtype; weights once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._weights: dict[int, Tensor] = {}

    @property
    def copied(self) -> int:
        """Bytes of the weights' copies, which live as long as this object."""
        return sum(weight.nbytes for weight in self._weights.values())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function with its factors converted as autocast would."""
        kwargs = kwargs or {}
        if func in AUTOCAST_OPERATIONS and "out" not in kwargs and torch.is_autocast_enabled("cpu"):
            args = [self._cast(value) for value in args]
            kwargs = {name: self._cast(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        dtype = torch.get_autocast_dtype("cpu")
        if not (value.is_leaf and value.requires_grad):
            return value.to(dtype)
        if id(value) not in self._weights:
            self._weights[id(value)] = value.to(dtype)
        return self._weights[id(value)]


class FusedAttention(TorchFunctionMode):
    """Attention as a GPU's fused kernels compute it, which do not store the scores (Dao et al. 2022).

    Without this, meta tensors take PyTorch's explicit attention.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function, attention with the shapes of PyTorch's memory-efficient kernel."""
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        mask, is_causal = kwargs.get("attn_mask"), kwargs.get("is_causal", False)
        return aten._scaled_dot_product_efficient_attention(*args, mask, True, 0.0, is_causal)[0]


def _key(tensor: Tensor) -> int:
    """Return a key that is the same for all views of a storage."""
    return tensor.untyped_storage()._cdata
