"""Signals: the first one stops a training without loss, whatever it is doing; a second one ends it at once."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import Trial, check_whole, digest

from s2s.training.runs.record import complete_checkpoints


@pytest.mark.parametrize("during", ["loading", "training", "validating", "saving"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_stops_training_without_loss(
    number: signal.Signals, during: str, new_home: Callable[[], Path], trained: Path, tiny: list[str]
) -> None:
    home = new_home()
    stopped = Trial(home, tuple(tiny), signals=(number,), during=during)
    assert stopped.exit_code() == 128 + number, stopped.said()
    check_whole(home)
    if during != "loading":
        (directory,) = (home / "runs").glob("again-*")
        saved = complete_checkpoints(directory / "checkpoints") + complete_checkpoints(directory / "stopped")
        assert [int(path.name) for path in saved] == {"training": [1], "validating": [4], "saving": [4]}[during]
        assert stopped.said().count(f"s2s resume {directory.name}") == 1
    trial = Trial(home, tuple(tiny))
    assert trial.exit_code() == 0, trial.said()
    assert digest(home) == digest(trained, "numbers-attention")


@pytest.mark.parametrize("during", ["training", "saving"])
def test_second_signal_exits_at_once(during: str, new_home: Callable[[], Path], trained: Path, tiny: list[str]) -> None:
    home = new_home()
    stopped = Trial(home, tuple(tiny), signals=(signal.SIGINT, signal.SIGTERM), during=during)
    assert stopped.exit_code() == 128 + signal.SIGTERM
    assert not list((home / "runs").glob("*/*/*/manifest.json"))
    trial = Trial(home, tuple(tiny))
    assert trial.exit_code() == 0, trial.said()
    assert digest(home) == digest(trained, "numbers-attention")
