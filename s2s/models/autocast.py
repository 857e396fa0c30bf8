"""Autocast settings that apply to a tensor."""

import torch
from torch import Tensor


def autocast_device(values: Tensor) -> str:
    """Return the device type whose autocast region applies to `values`; meta tensors follow the CPU's."""
    kind = values.device.type
    return "cpu" if kind == "meta" else kind


def matmul_dtype(values: Tensor) -> torch.dtype:
    """Return the dtype of matrix products with `values`: autocast's inside an autocast region, else their own."""
    kind = autocast_device(values)
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype
