"""Memory of a device: used, free, and whether it ran out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s2s.devices import cgroups, select

if TYPE_CHECKING:
    import torch


def peak_memory(device: "torch.device") -> int:
    """Return the peak memory in bytes: of a GPU what torch reserved, of the CPU what this process used."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device)
    return _peak_of_process()


def _peak_of_process() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_memory(device: "torch.device") -> int:
    """Return the free memory in bytes: of a GPU, or of the machine within the limits of this process's cgroups."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return _free_for_this_process()


def free_without_context(device: str) -> int:
    """Return the free memory of a device in bytes, without a context on a GPU; 0 if its driver does not report it."""
    if device == "cpu":
        return _free_for_this_process()
    return select.free_memory_by_identity().get(select.device_identity(device), 0)


def _free_for_this_process() -> int:
    return min([_free_on_the_machine(), *cgroups.free_memory()])


def _free_on_the_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    return free or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class MemoryMeter:
    """Measures the memory that this process takes of a device: create it before anything is put there."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._free = free_without_context(device)
        self._loaded: tuple[int, int] | None = None  # bytes taken, and those that torch had reserved then

    def measure(self) -> int:
        """Return the bytes that this process takes now.

        On the CPU: its resident memory, shared pages in proportion (PSS). On a GPU: the drop in free memory between the
        creation of this meter and the first call, plus the change in what torch has reserved since.
        """
        if self.device == "cpu":
            return _proportional_memory()
        import torch

        reserved = torch.cuda.memory_reserved(self.device) if torch.cuda.is_initialized() else 0
        if self._loaded is None:
            self._loaded = max(0, self._free - free_without_context(self.device)), reserved
        return self._loaded[0] + reserved - self._loaded[1]


def _proportional_memory() -> int:
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:  # not Linux
        return _peak_of_process()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out: Python's, torch's, or a GPU's (told by its name)."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
