"""A full or read-only disk: a clear error, and training can be resumed to the same weights afterwards."""

import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trials import Trial, check_whole, digest

PARTS = 12  # that the file operations are split into


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a file system in memory, or remounts it: `mounted("size=1m")`."""
    directory = tmp_path / "mounted"
    directory.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if directory.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}{options}", "tmpfs", str(directory)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this user cannot mount file systems")
        return directory

    yield mount
    if directory.is_mount():
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[pytest.mark.faults] if part else []) for part in range(PARTS)]
)
def test_disk_full_at_each_file_operation(
    part: int, new_home: Callable[[], Path], trained: Path, tiny: list[str], tmp_path: Path
) -> None:
    record = tmp_path / "operations"
    assert Trial(new_home(), tuple(tiny), record=record).exit_code() == 0
    operations = pickle.loads(record.read_bytes())
    numbers = [number for number, operation in enumerate(operations) if operation.kind != "remove"]
    for number in numbers[part::PARTS]:
        full = Trial(new_home(), tuple(tiny), fail_at=number)
        code = full.exit_code()
        # an existing directory needs no space, and the corpus does without a memory of what was verified
        needed = operations[number].kind != "directory" and "/corpora/" not in operations[number].path
        if code or needed:
            assert code == 5, operations[number]
            assert "no space left on device" in full.said().lower()
        check_whole(full.home)
        trial = Trial(full.home, tuple(tiny))
        if trial.exit_code():
            assert "is finished: again:1" in trial.said()
        assert digest(trial.home) == digest(trained, "numbers-attention")


@pytest.mark.parametrize("room", [1, 40, 80, 160])
def test_full_file_system(room: int, mounted: Callable[[str], Path], trained: Path, tiny: list[str]) -> None:
    home = mounted("size=8m")
    shutil.copytree(trained / "corpora", home / "corpora")
    used = shutil.disk_usage(home).used // 1024
    mounted(f"size={used + room}k")
    full = Trial(home, tuple(tiny), errors=home.with_name("said"))
    assert full.exit_code() == 5
    assert "no space left on device" in full.said().lower()
    mounted("size=8m")
    check_whole(home)
    assert full.exit_code() == 0, full.said()
    assert digest(home) == digest(trained, "numbers-attention")


def test_read_only_file_system(mounted: Callable[[str], Path], trained: Path, tiny: list[str]) -> None:
    home = mounted("size=8m")
    shutil.copytree(trained / "corpora", home / "corpora")
    mounted("ro")
    trial = Trial(home, tuple(tiny), errors=home.with_name("said"))
    assert trial.exit_code() == 5
    assert "read-only file system" in trial.said().lower()
    assert "Traceback" not in trial.said()
