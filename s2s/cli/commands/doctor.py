"""`s2s doctor`: check this machine and suggest fixes."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer

from s2s.cli.console import print_json
from s2s.cli.options import AsJson
from s2s.report.console import out
from s2s.report.format import counted, format_size

NEEDED = (  # beside the packages without which this command does not start
    "PIL",
    "babel",
    "ctranslate2",
    "datasets",
    "fsspec",
    "jinja2",
    "mpmath",
    "num2words",
    "numpy",
    "polib",
    "pyarrow",
    "pynvml",
    "sacrebleu",
    "safetensors",
    "sentencepiece",
    "sentencex",
    "threadpoolctl",
    "tomli_w",
    "torch",
    "xxhash",
)
LITTLE_DISK = 2 * 10**9  # bytes: some checkpoints and a corpus
LITTLE_MEMORY = 10**9  # bytes: torch, a corpus's batches and a small network


@dataclass
class Problems:
    """Problems and their fixes; essential ones prevent training."""

    essential: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    def broken(self, what: str, fix: str) -> None:
        """Add a problem that prevents s2s from working."""
        self.essential.append({"what": what, "fix": fix})

    def warn(self, what: str, fix: str) -> None:
        """Add a problem that slows s2s down or may soon stop it."""
        self.warnings.append({"what": what, "fix": fix})


def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, devices, precision and threads, directories, memory.

    Problems are reported with fixes. Exits with code 5 if something essential is missing.

    Examples:
        s2s doctor
        s2s doctor --json
    """
    from s2s.devices.runtime import Machine, package_versions, thread_limits

    problems, limits = Problems(), thread_limits()
    _check_packages(problems)
    report: dict[str, Any] = {
        "versions": package_versions(),
        "machine": asdict(Machine.current()),
        "threads_by": min(limits, key=lambda name: limits[name]),
        "memory": _memory(problems),
        "devices": _devices(problems),
        "directories": _directories(problems),
    }
    report |= {"problems": problems.essential, "warnings": problems.warnings}
    if as_json:
        print_json(report)
    else:
        _show(report)
    if problems.essential:
        raise typer.Exit(5)


def _check_packages(problems: Problems) -> None:
    """Check that all required packages can be imported."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        problems.broken(f"not installed: {', '.join(missing)}", "pip install --force-reinstall s2s-toolkit")


def _devices(problems: Problems) -> list[dict[str, Any]]:
    """List the devices torch can use, and the precision `auto` chooses on each."""
    from s2s.devices.runtime import usable_threads
    from s2s.devices.select import available_devices, choose_precision, resolve_device

    try:
        devices = [
            {"name": name, "precision": choose_precision("auto", resolve_device(name))} | _graphics(name)
            for name in available_devices()
        ]
    except (ImportError, OSError, RuntimeError) as error:
        problems.broken(
            f"torch does not work: {error}", "install torch anew, in a build for this machine (https://pytorch.org)"
        )
        return []
    if devices == devices[-1:] and Path("/proc/driver/nvidia/gpus").is_dir():
        problems.warn(
            "there is an NVIDIA GPU that torch cannot use",
            "install a CUDA build of torch (https://pytorch.org), or a newer driver",
        )
    devices[-1]["threads"] = usable_threads()
    return devices


def _graphics(device: str) -> dict[str, Any]:
    """Return a GPU's name and memory in bytes; nothing for the CPU."""
    if device == "cpu":
        return {}
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return {"model": torch.cuda.get_device_name(device), "free_bytes": free, "total_bytes": total}


def _memory(problems: Problems) -> dict[str, int]:
    """Read the memory in bytes from /proc."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    found = {key: int(value.split()[0]) * 1024 for key, value in (line.split(":") for line in lines)}
    if found["MemAvailable"] < LITTLE_MEMORY:
        problems.warn(
            f"only {format_size(found['MemAvailable'])} of memory free",
            "end other programs, or train with a smaller training.batch_tokens",
        )
    return {"free_bytes": found["MemAvailable"], "total_bytes": found["MemTotal"]}


def _directories(problems: Problems) -> dict[str, dict[str, Any]]:
    """Check the directories that s2s uses."""
    from s2s.devices.leases import lease_directory
    from s2s.io.paths import cache_dir, home_dir
    from s2s.registry.store import Registry
    from s2s.serving.sockets import servers_directory

    return {
        "home": _directory(home_dir(), "S2S_HOME", problems),
        "registry": _directory(Registry.default().root, "S2S_REGISTRY", problems),
        "leases": _directory(lease_directory(), "S2S_LEASES", problems),
        "servers": _directory(servers_directory(), "S2S_SERVERS", problems),
        "cache": _directory(cache_dir(), "S2S_CACHE", problems),
    }


def _directory(path: Path, variable: str, problems: Problems) -> dict[str, Any]:
    """Check that a directory, or its nearest existing parent, is writable."""
    import shutil
    import tempfile

    from s2s.io.paths import directory_size

    nearest = next(directory for directory in (path, *path.parents) if directory.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            writable = True
    except OSError as error:
        writable = False
        problems.broken(
            f"{path} cannot be written: {error.strerror}",
            f"make {nearest} writable, or set {variable} to another directory",
        )
    free = shutil.disk_usage(nearest).free
    if free < LITTLE_DISK:
        problems.warn(
            f"{path}: only {format_size(free)} of disk free",
            f"free some space, or set {variable} to a directory on another disk",
        )
    return {
        "path": str(path),
        "exists": path.is_dir(),
        "writable": writable,
        "bytes": directory_size(path),
        "free_bytes": free,
    }


def _show(report: dict[str, Any]) -> None:
    """Format the report as text."""
    machine, memory = report["machine"], report["memory"]
    features = ", ".join(machine["features"]) or "none"
    _line("versions", "  ".join(f"{name} {version}" for name, version in report["versions"].items()))
    _line("machine", f"{machine['system']} {machine['processor']}, features: {features}")
    _line("threads", f"{machine['threads']} (limited by: {report['threads_by']})")
    if memory:
        _line("memory", f"{format_size(memory['free_bytes'])} free of {format_size(memory['total_bytes'])}")
    for device in report["devices"]:
        of = (
            f"{device['model']}, {format_size(device['free_bytes'])} free of {format_size(device['total_bytes'])}, "
            if "model" in device
            else ""
        )
        threads = f" with {counted(device['threads'], 'thread')}" if "threads" in device else ""
        _line(device["name"], f"{of}computes in {device['precision']}{threads} by default")
    for name, directory in report["directories"].items():
        state = f"{format_size(directory['bytes'])}" if directory["exists"] else "not made yet"
        _line(name, f"{directory['path']} ({state}; {format_size(directory['free_bytes'])} of disk free)")
    out.print()
    for kind, color in (("problems", "red"), ("warnings", "yellow")):
        for problem in report[kind]:
            out.print(f"{kind[:-1]}: {problem['what']}\n  fix: {problem['fix']}", style=color, soft_wrap=True)
    if not report["problems"]:
        out.print("no problems found" if not report["warnings"] else "s2s can run here; see the warnings")


def _line(label: str, text: str) -> None:
    out.print(f"{label:9} {text}", soft_wrap=True)
