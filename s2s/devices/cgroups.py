"""Processor and memory limits of the Linux control groups that this process is in, of version 1 or 2."""

from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def processor_quotas() -> list[float]:
    """Return the processors that each group with a quota may use at once, such as 1.5."""
    quotas = []
    for group in _groups("cpu"):
        version_2 = _words(group / "cpu.max")
        words = version_2 or _words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us")
        if len(words) == 2 and all(word.isdigit() for word in words):  # "max" and -1 are no limit
            quotas.append(int(words[0]) / int(words[1]))
    return quotas


def free_memory() -> list[int]:
    """Return the bytes that each group with a limit may still use; cached files that can be dropped count as free."""
    free = []
    for group in _groups("memory"):
        limit = _words(group / "memory.max") or _words(group / "memory.limit_in_bytes")
        used = _words(group / "memory.current") or _words(group / "memory.usage_in_bytes")
        if limit and used and limit[0].isdigit():
            free.append(max(0, int(limit[0]) - int(used[0]) + _dropped_if_needed(group)))
    return free


def _groups(controller: str) -> list[Path]:
    """Return the directories of the groups that a controller limits, the process's own first.

    Inside a container the own directory is often not visible; the outermost is then the container's.
    """
    groups = []
    for line in _lines(MEMBERSHIP):
        _, controllers, path = line.split(":", 2)
        if controllers in {"", controller} or controller in controllers.split(","):
            root = ROOT / controller if controllers else ROOT
            own = root / path.lstrip("/")
            groups += [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return groups


def _dropped_if_needed(group: Path) -> int:
    """Return the bytes of files in the page cache that were not used recently, in this group and those inside it."""
    values = dict(line.split(maxsplit=1) for line in _lines(group / "memory.stat"))
    return int(values.get("total_inactive_file") or values.get("inactive_file") or 0)  # version 1 or 2


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    """Read the lines of a system file; none if it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
