"""Memory of a device: used, free, and whether it ran out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def peak_memory(device: "torch.device") -> int:
    """Return the peak memory in bytes: of a GPU by torch, of the CPU by this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_memory(device: "torch.device") -> int:
    """Return the free memory in bytes: of a GPU, or of the machine within the limit of its cgroup."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    free = next((int(line.split()[1]) * 1024 for line in _read("/proc/meminfo") if line.startswith("MemAvailable")), 0)
    free = free or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return min(free, int(limit[0]) - int(used[0])) if limit and used and limit[0] != "max" else free


def _read(path: str) -> list[str]:
    """Read the lines of a system file; none if it does not exist."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out: Python's, torch's, or a GPU's (told by its name)."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
