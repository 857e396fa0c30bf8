"""Fixtures that train tiny networks, with and without interruption."""

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
    """Return a function: `interrupted(6)` interrupts the next training once, after six updates."""

    def after(updates: int) -> None:
        train_on_next_batch = Trainer.train_on_next_batch

        def stop(self: Trainer) -> None:
            train_on_next_batch(self)
            if self.state.update == updates:
                monkeypatch.setattr(Trainer, "train_on_next_batch", train_on_next_batch)
                raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "train_on_next_batch", stop)

    return after


@pytest.fixture
def tiny_train(trained_home: Path, tiny: list[str]) -> Callable[..., Version]:
    """Return a function that trains a tiny `numbers/attention`: `tiny_train("training.ema=0.9", name="averaged")`."""

    def call(*settings: str, name: str = "again", **arguments: Any) -> Version:
        recipe = load_recipe("numbers/attention", [*tiny, f"name={name}", *settings])
        how = {"device": "cpu", "wait": 0} | arguments
        return train(recipe, **how)

    return call


@pytest.fixture
def interrupted_run(tiny_train: Callable[..., Version], interrupted: Callable[[int], None]) -> Callable[..., Path]:
    """Return a function that interrupts a training and returns the run: `interrupted_run(*settings, after=6)`."""

    def call(*settings: str, after: int = 6, name: str = "again", **arguments: Any) -> Path:
        interrupted(after)
        with pytest.raises(KeyboardInterrupt):
            tiny_train(*settings, name=name, **arguments)
        (directory,) = runs_directory().glob(f"{name}-*")
        return directory

    return call
