"""Memory of a device: used, free, and whether it ran out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s2s.devices import cgroups

if TYPE_CHECKING:
    import torch


def peak_memory(device: "torch.device") -> int:
    """Return the peak memory in bytes: of a GPU what torch reserved, of the CPU what this process used."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_memory(device: "torch.device") -> int:
    """Return the free memory in bytes: of a GPU, or of the machine within the limits of this process's cgroups."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return min([_free_on_the_machine(), *cgroups.free_memory()])


def _free_on_the_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    return free or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out: Python's, torch's, or a GPU's (told by its name)."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
