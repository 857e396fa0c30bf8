"""The process and its machine: threads, allocator, processor features, library versions."""

import functools
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s2s.devices.cgroups import processor_quotas

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "tf32", "bf16"]  # of matrix products; tf32: of fp32 tensors, on GPUs only

log = logging.getLogger(__name__)

SMALL = 1_000_000  # parameters; a GRU of 128 units trains faster in one thread than in two, and in fp32 than in bf16
_requested_threads: list[int] = []  # by `request_threads`; at most one
LIBRARY_DEFAULTS = {
    # Waiting OpenMP threads spin for milliseconds by default. If another process occupies one of the processors, each
    # of the thousands of small products of a recurrent network waits that long.
    "GOMP_SPINCOUNT": "10000",
    # ideep and oneDNN each keep 1,024 prepared matrix products in bf16, one for every shape, and every batch has other
    # shapes. 64 are enough for the products of a training step.
    "LRU_CACHE_CAPACITY": "64",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    # Batches of many shapes otherwise fragment the memory of a GPU.
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
}
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def processors() -> int:
    """Return the number of processors this process may use, by its affinity and the quota of its cgroup."""
    return min(_processor_limits().values())


def thread_limits() -> dict[str, int]:
    """Return what limits the threads of this process, by name; the smallest limit counts."""
    limits = _processor_limits()
    found = re.match(r"\s*([1-9][0-9]{0,5})", os.environ.get("OMP_NUM_THREADS", ""))
    if found:
        limits["OMP_NUM_THREADS"] = int(found[1])
    if _requested_threads:
        limits["--threads"] = _requested_threads[-1]
    return limits


def request_threads(count: int) -> None:
    """Use at most `count` threads in this process."""
    _requested_threads[:] = [count]


def usable_threads() -> int:
    """Return the number of threads that this process may use."""
    return min(thread_limits().values())


def _processor_limits() -> dict[str, int]:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = {max(1, round(quota)) for quota in processor_quotas()}
    return {"processors": count} | ({"quota of the cgroup": min(quotas)} if quotas else {})


def threads_for(parameters: int, *, recurrent: bool) -> int:
    """Return the number of threads for a network; a small recurrent one does not gain from several."""
    return 1 if recurrent and parameters < SMALL else usable_threads()


def cpu_features() -> list[str]:
    """Return the CPU's instruction sets that affect speed and rounding."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [feature for feature in FEATURES if feature in flags]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as cards and `s2s doctor` describe it."""

    system: str  # Linux
    processor: str  # x86_64
    features: list[str]  # of the processor that affect results
    threads: int

    @classmethod
    def current(cls) -> "Machine":
        """Return this machine, with the threads that may be used."""
        return cls(platform.system(), platform.machine(), cpu_features(), usable_threads())

    def describe(self) -> str:
        """Return `Linux x86_64 (avx2, avx512f)`."""
        return f"{self.system} {self.processor} ({', '.join(self.features) or 'no vector extensions'})"


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes and methods that suit a device."""

    loss_rows: int  # rows of logits computed at a time; on a CPU about as many as fit in its cache
    decoding_tokens: int  # tokens in a batch of a search, hypotheses included
    steps_between_looks: int  # of a search, before the host looks which sentences are done
    bf16_convolutions: bool  # on a CPU their backward pass takes several times as long as in fp32
    byte_dropout: bool  # cheaper to draw on a CPU; on a GPU one fused kernel each way beats six small ones
    additive_masks: bool  # of attention; a GPU's fused kernel converts a mask of bools at every call


DeviceKind = Literal["cpu", "cuda"]
TUNING: dict[str, Tuning] = {
    "cpu": Tuning(1024, 4096, 1, bf16_convolutions=False, byte_dropout=True, additive_masks=False),
    "cuda": Tuning(8192, 65_536, 4, bf16_convolutions=True, byte_dropout=False, additive_masks=True),
}
_planned: ContextVar[DeviceKind] = ContextVar("planned", default="cpu")


def tuning(kind: str) -> Tuning:
    """Return the sizes that suit a kind of device: cpu, cuda, or meta for the one that is planned for."""
    return TUNING[_planned.get() if kind == "meta" else kind]


@contextmanager
def planning_for(kind: DeviceKind) -> Iterator[None]:
    """Compute tensors on the meta device with the sizes that suit a kind of device; otherwise with a CPU's."""
    token = _planned.set(kind)
    try:
        yield
    finally:
        _planned.reset(token)


def package_versions() -> dict[str, str]:
    """Return the versions of Python, s2s (with its commit, in a git checkout) and libraries that affect results."""
    from importlib.metadata import PackageNotFoundError, version

    from s2s._version import __version__

    found = {"python": platform.python_version(), "s2s": __version__}
    if commit := _commit():
        found["commit"] = commit
    for package in ("torch", "sentencepiece", "sacrebleu", "datasets", "numpy", "ctranslate2"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def _commit() -> str | None:
    """Return the commit that s2s runs from, with `-dirty` if files differ from it; None outside a git checkout."""
    import subprocess

    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def set_library_defaults() -> None:
    """Set the environment variables that torch's libraries read when it is imported, unless the user has set them."""
    missing = {name: value for name, value in LIBRARY_DEFAULTS.items() if name not in os.environ}
    os.environ.update(missing)
    if missing and "torch" in sys.modules:
        log.warning(
            "torch was imported before s2s, so memory grows with every new shape of a batch; "
            "import s2s first, or set %s",
            " ".join(f"{name}={value}" for name, value in missing.items()),
        )


def prepare(
    device: "torch.device", threads: int, precision: Precision = "fp32", *, deterministic: bool = False
) -> None:
    """Set PyTorch's threads, device, fp32 products, attention kernels and deterministic algorithms for this process."""
    import torch

    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # random states, and contexts of libraries, are those of the current device
        products = "tf32" if precision == "tf32" else "ieee"
        torch.backends.cuda.matmul.fp32_precision = products
        torch.backends.cudnn.conv.fp32_precision = products  # type: ignore[attr-defined]  # TF32 by default
        torch.backends.cuda.enable_cudnn_sdp(False)  # builds a plan for every new shape, and every batch has another
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS otherwise sums in varying order
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Keep freed memory in the heap (glibc): page faults otherwise cost a training step a good part of its time."""
    import ctypes

    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
