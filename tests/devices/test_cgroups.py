from pathlib import Path

import pytest
import torch

from s2s.devices import cgroups, memory
from s2s.devices.runtime import usable_threads

GIB = 2**30


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write files of a control group below an empty /sys/fs/cgroup, given the lines of /proc/self/cgroup."""

    def write(membership: str, files: dict[str, object]) -> None:
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "sys" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "sys")
    return write


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/user/job", {"user/job/cpu.max": "150000 100000", "user/cpu.max": "max 100000"}),
        ("0::/user/job", {"user/job/cpu.max": "max 100000", "user/cpu.max": "150000 100000"}),
        ("0::/of/the/host", {"cpu.max": "150000 100000"}),
        (
            "2:cpu,cpuacct:/job\n0::/\n",
            {"cpu/job/cpu.cfs_quota_us": 150000, "cpu/job/cpu.cfs_period_us": 100000, "cpu/cpu.cfs_quota_us": -1},
        ),
    ],
    ids=["own", "parent", "container", "version 1"],
)
def test_processor_quota(group, membership, files):
    group(membership, files)
    assert cgroups.processor_quotas() == [1.5]


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        (
            "0::/user/job",
            {
                "user/job/memory.max": 4 * GIB,
                "user/job/memory.current": 3 * GIB,
                "user/job/memory.stat": f"anon {GIB}\ninactive_file {GIB}",
                "user/memory.max": "max",
                "user/memory.current": 9 * GIB,
            },
        ),
        (
            "4:memory:/job\n3:cpuset:/\n",
            {
                "memory/job/memory.limit_in_bytes": 4 * GIB,
                "memory/job/memory.usage_in_bytes": 3 * GIB,
                "memory/job/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB}",
            },
        ),
        ("0::/of/the/host", {"memory.max": 3 * GIB, "memory.current": GIB}),
    ],
    ids=["own", "version 1", "container"],
)
def test_free_memory(group, membership, files):
    group(membership, files)
    assert cgroups.free_memory() == [2 * GIB]


def test_the_smallest_limit_counts(group):
    group("0::/job", {"job/memory.max": 2 * GIB, "job/memory.current": 2 * GIB - 5, "job/cpu.max": "50000 100000"})
    assert memory.free_memory(torch.device("cpu")) == 5
    assert usable_threads() == 1


def test_no_groups_limit_nothing(group, monkeypatch):
    group("", {})
    assert cgroups.processor_quotas() == cgroups.free_memory() == []
    monkeypatch.setattr(cgroups, "MEMBERSHIP", Path("/nowhere"))
    assert cgroups.processor_quotas() == []
