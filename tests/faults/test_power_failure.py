"""A power failure loses what was not synced; the training can still be resumed, to the same weights."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from disk import Disk, write_to
from trials import Trial, check_whole, digest

PARTS = 12  # that the states of the disk are split into
Count = Callable[[str], None]


@pytest.mark.parametrize("names", [False, True], ids=["nothing unsynced", "unsynced names"])
@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[pytest.mark.faults] if part else []) for part in range(PARTS)]
)
def test_power_failure_after_each_file_operation(
    part: int, names: bool, new_home: Callable[[], Path], trained: Path, tiny: list[str], tmp_path: Path, count: Count
) -> None:
    home, record = new_home(), tmp_path / "operations"
    disk = Disk(home)
    assert Trial(home, tuple(tiny), record=record).exit_code() == 0
    left = [disk.left(names=names)]
    for operation in pickle.loads(record.read_bytes()):
        disk.apply(operation)
        if (state := disk.left(names=names)) != left[-1]:
            left.append(state)
    assert len(left) > 30
    for number in range(part, len(left), PARTS):
        trial = Trial(tmp_path / f"after-{number}", tuple(tiny))
        write_to(left[number], trial.home)
        check_whole(trial.home)
        count("power failures")
        if trial.exit_code():
            assert "is finished: again:1" in trial.said()
        assert digest(trial.home) == digest(trained, "numbers-attention")


def test_everything_is_durable_at_the_end(new_home: Callable[[], Path], tiny: list[str], tmp_path: Path) -> None:
    home, record = new_home(), tmp_path / "operations"
    disk = Disk(home)
    assert Trial(home, tuple(tiny), record=record).exit_code() == 0
    for operation in pickle.loads(record.read_bytes()):
        disk.apply(operation)
    left = disk.left(names=False)
    kept = [path for path in home.rglob("*") if path.is_file() and path.suffix in {".json", ".safetensors", ".toml"}]
    assert len(kept) > 10
    for path in kept:
        assert left[str(path.relative_to(home))] == path.read_bytes()
