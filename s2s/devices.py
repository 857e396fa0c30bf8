"""Devices: which one, with which precision and threads, and what the processor can do."""

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s2s.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
SMALL = 1_000_000  # parameters; a GRU of 128 units trains faster in one thread than in two, and in fp32 than in bf16
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def usable_threads() -> int:
    """Processors this process may use: its affinity, and the quota of its cgroup."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else max(1, min(count, round(int(quota) / int(period))))


def threads_for(parameters: int) -> int:
    """Threads for a network of that many parameters: one for a small one, too small to share."""
    return 1 if parameters < SMALL else usable_threads()


def processor_features() -> list[str]:
    """What the processor offers of the instructions that matter to speed and rounding."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [feature for feature in FEATURES if feature in flags]


def machine() -> dict[str, object]:
    """The machine in words and numbers, for cards and `s2s doctor`."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "features": processor_features(),
        "threads": usable_threads(),
    }


def versions() -> dict[str, str]:
    """The versions of Python, s2s and the libraries that shape a result."""
    from importlib.metadata import PackageNotFoundError, version

    from s2s import __version__

    found = {"python": platform.python_version(), "s2s": __version__}
    for package in ("torch", "sentencepiece", "sacrebleu", "datasets", "numpy", "ctranslate2"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def available_devices() -> list[str]:
    """Names of the devices torch can use, the best first. Imports no torch where the system has no GPU's driver."""
    if not _has_driver():
        return ["cpu"]
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] + ["cpu"]


def _has_driver() -> bool:
    """Whether the library of a GPU's driver can be loaded: CUDA's, or ROCm's."""
    import ctypes

    for name in ("libcuda.so.1", "libamdhip64.so"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def device_named(name: str) -> "torch.device":
    """The torch device of a name: `cpu`, `cuda`, `cuda:1`. Raises UsageError, ResourceError."""
    import torch

    kind = name.partition(":")[0]
    if kind not in {"cpu", "cuda"}:
        raise UsageError(f"--device {name}: no such device", "one of auto, cpu, cuda, cuda:0 …")
    full = "cuda:0" if name == "cuda" else name
    if full not in available_devices():
        raise ResourceError(f"device {name} is not here", f"available: {', '.join(available_devices())}")
    return torch.device(full)


def device_identity(device: str) -> str:
    """What a device is called by every process of this host: a GPU's UUID, or `cpu`."""
    if device == "cpu":
        return device
    import torch

    return f"gpu-{torch.cuda.get_device_properties(torch.device(device)).uuid}"


def choose_precision(
    wanted: Literal["auto", "fp32", "bf16"], device: "torch.device", parameters: int = SMALL
) -> Precision:
    """`auto` is bf16 where the device computes in it, else fp32, and fp32 for a network too small to gain by bf16."""
    if wanted != "auto":
        return wanted
    if parameters < SMALL:
        return "fp32"
    if device.type == "cuda":
        import torch

        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if {"avx512_bf16", "amx_bf16"} & set(processor_features()) else "fp32"


def peak_memory(device: "torch.device") -> int:
    """The most bytes that were in use so far: of a GPU by torch, of the processor's memory by this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_memory(device: "torch.device") -> int:
    """Bytes that can still be filled: of a GPU, or of the machine within the limit of its cgroup."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    free = next((int(line.split()[1]) * 1024 for line in _read("/proc/meminfo") if line.startswith("MemAvailable")), 0)
    free = free or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return min(free, int(limit[0]) - int(used[0])) if limit and used and limit[0] != "max" else free


def _read(path: str) -> list[str]:
    """The lines of a file of the system's; none where there is no such file."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: Python's own, a GPU's (torch's error, told by its name), or torch's on the processor."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def wait_without_spinning() -> None:
    """Let threads that wait for each other sleep soon; to be called before torch is imported.

    OpenMP's threads otherwise spin for milliseconds, and where another process holds one of the processors, each of the
    thousands of small products of a recurrent network waits as long. Some tens of microseconds bridge most of the
    waits on a machine that is quiet.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def keep_freed_memory() -> None:
    """Keep freed memory in the heap (glibc): page faults otherwise cost a training step a good part of its time."""
    import ctypes

    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
