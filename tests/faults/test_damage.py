"""A damaged checkpoint is reported and skipped; the previous one is used."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import Trial, digest

from s2s.training.checkpoint import MANIFEST
from s2s.training.runs.record import complete_checkpoints

FILES = ["model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json", MANIFEST]


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 4
    path.write_bytes(content)


@pytest.fixture(scope="module")
def settings(tiny: list[str]) -> tuple[str, ...]:
    return (*tiny, "training.ema=0.9", "training.stop_after=16 updates")


@pytest.fixture(scope="module")
def expected(settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the digest of the weights of an undisturbed training."""
    whole = Trial(tmp_path_factory.mktemp("whole"), settings)
    assert whole.exit_code() == 0, whole.said()
    return digest(whole.home)


@pytest.mark.parametrize("position", [0, 31, -1])
@pytest.mark.parametrize("name", FILES)
def test_flipped_bit(
    name: str, position: int, new_home: Callable[[], Path], settings: tuple[str, ...], expected: str
) -> None:
    home = new_home()
    stopped = Trial(home, settings, signals=(signal.SIGTERM,), during="validating", nth=3)
    assert stopped.exit_code() == 143, stopped.said()
    (directory,) = (home / "runs").glob("again-*")
    (last,) = complete_checkpoints(directory / "stopped")
    flip(last / name, position)
    trial = Trial(home, settings)
    assert trial.exit_code() == 0, trial.said()
    assert "using the previous checkpoint" in trial.said()
    assert f"{last}: {name} is damaged" in trial.said() or name == MANIFEST  # a damaged manifest may blame another file
    assert digest(home) == expected


@pytest.mark.parametrize("name", FILES)
def test_truncated_or_missing_file(
    name: str, new_home: Callable[[], Path], settings: tuple[str, ...], expected: str
) -> None:
    home = new_home()
    assert Trial(home, settings, signals=(signal.SIGTERM,), during="validating", nth=3).exit_code() == 143
    (directory,) = (home / "runs").glob("again-*")
    (stopped,) = complete_checkpoints(directory / "stopped")
    (last, *_) = reversed(complete_checkpoints(directory / "checkpoints"))
    (stopped / name).write_bytes((stopped / name).read_bytes()[:100])
    (last / name).unlink()
    trial = Trial(home, settings)
    assert trial.exit_code() == 0, trial.said()
    assert digest(home) == expected
