"""Choose a device and the precision to compute in."""

import contextlib
from typing import TYPE_CHECKING, Literal

from s2s.devices.runtime import SMALL, Precision, cpu_features
from s2s.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import torch


def available_devices() -> list[str]:
    """Return the devices that torch can use, best first. Imports torch only if a GPU driver is installed."""
    if not _has_driver():
        return ["cpu"]
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] + ["cpu"]


def gpus_by_free_memory() -> list[str]:
    """Return the GPUs that torch can use, the one with the most free memory first."""
    gpus = [name for name in available_devices() if name != "cpu"]
    free = free_memory_by_identity() if len(gpus) > 1 else {}
    return sorted(gpus, key=lambda name: -free.get(device_identity(name), 0))


def free_memory_by_identity() -> dict[str, int]:
    """Return the free bytes of NVIDIA's GPUs, without a context on any; empty if the driver does not report it."""
    import pynvml

    free = {}
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
            for part in [gpu, *_mig_devices(gpu)]:
                uuid = pynvml.nvmlDeviceGetUUID(part).removeprefix("GPU-").removeprefix("MIG-")
                free[f"gpu-{uuid}"] = int(pynvml.nvmlDeviceGetMemoryInfo(part).free)
    except pynvml.NVMLError:
        return free
    return free


def _mig_devices(gpu: object) -> list[object]:
    """Return the parts that a GPU is divided into (Multi-Instance GPU)."""
    import pynvml

    parts: list[object] = []
    with contextlib.suppress(pynvml.NVMLError):
        for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
            with contextlib.suppress(pynvml.NVMLError):
                parts.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index))
    return parts


def _has_driver() -> bool:
    """Return whether the driver library of CUDA or ROCm can be loaded."""
    import ctypes

    for name in ("libcuda.so.1", "libamdhip64.so"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def resolve_device(name: str) -> "torch.device":
    """Return the torch device of a name: `cpu`, `cuda`, `cuda:1`.

    Raises: UsageError if s2s does not support the device, ResourceError if it is not available.
    """
    import torch

    kind = name.partition(":")[0]
    if kind not in {"cpu", "cuda"}:
        raise UsageError(f"--device {name}: s2s supports cpu and cuda", "--device auto, cpu, cuda or cuda:0 …")
    full = "cuda:0" if name == "cuda" else name
    if full not in available_devices():
        raise ResourceError(f"device {name} is not available", f"available: {', '.join(available_devices())}")
    return torch.device(full)


def device_identity(device: str) -> str:
    """Return a host-wide identifier of a device: a GPU's UUID, or `cpu`."""
    if device == "cpu":
        return device
    import torch

    return f"gpu-{torch.cuda.get_device_properties(torch.device(device)).uuid}"


def choose_precision(wanted: Precision | Literal["auto"], device: "torch.device", parameters: int = SMALL) -> Precision:
    """Resolve `auto`: bf16 if the device supports it and the network is large enough to gain from it.

    Otherwise tf32 on GPUs that have it (since Ampere, which also brought bf16), else fp32.
    Raises: UsageError if tf32 is wanted on a CPU.
    """
    if wanted == "tf32" and device.type == "cpu":
        raise UsageError("precision tf32: only GPUs have it", "use auto, fp32 or bf16")
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        import torch

        if not torch.cuda.is_bf16_supported(including_emulation=False):
            return "fp32"
        return "tf32" if parameters < SMALL else "bf16"
    if parameters < SMALL:
        return "fp32"
    return "bf16" if {"avx512_bf16", "amx_bf16"} & set(cpu_features()) else "fp32"
