"""Trainings of tiny networks, whole and interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2s.recipe.load import load_recipe
from s2s.registry.version import Version
from s2s.training.runs.lifecycle import train
from s2s.training.runs.record import runs_directory
from s2s.training.trainer import Trainer


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`interrupted(6)`: training is interrupted after six updates, once."""

    def after(updates: int) -> None:
        update = Trainer._update

        def stop(self: Trainer, *arguments: object) -> None:
            update(self, *arguments)  # type: ignore[arg-type]
            if self.position.update == updates:
                monkeypatch.setattr(Trainer, "_update", update)
                raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "_update", stop)

    return after


@pytest.fixture
def tiny_train(trained_home: Path, tiny: list[str]) -> Callable[..., Version]:
    """`tiny_train("training.ema=0.9", name="averaged")`: the tiny `numbers/attention` with other values."""

    def call(*settings: str, name: str = "again", **arguments: Any) -> Version:
        recipe = load_recipe("numbers/attention", [*tiny, f"name={name}", *settings])
        how = {"device": "cpu", "wait": False} | arguments
        return train(recipe, **how)

    return call


@pytest.fixture
def interrupted_run(tiny_train: Callable[..., Version], interrupted: Callable[[int], None]) -> Callable[..., Path]:
    """`interrupted_run("training.ema=0.9", after=6)`: the directory of a run that was interrupted."""

    def call(*settings: str, after: int = 6, name: str = "again", **arguments: Any) -> Path:
        interrupted(after)
        with pytest.raises(KeyboardInterrupt):
            tiny_train(*settings, name=name, **arguments)
        (directory,) = runs_directory().glob(f"{name}-*")
        return directory

    return call
