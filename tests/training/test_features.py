"""A captioner of features resumes exactly."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_features import make_features

from s2s.recipe.load import load_recipe
from s2s.training.runs.lifecycle import resume, train
from s2s.training.runs.record import runs_directory


def test_resumed_is_uninterrupted(tmp_path: Path, interrupted: Callable[[int], None]) -> None:
    recipe = make_features(tmp_path)
    whole = train(load_recipe(recipe), device="cpu", wait=0)
    interrupted(5)
    with pytest.raises(KeyboardInterrupt):
        train(load_recipe(recipe, ["name=again"]), device="cpu", wait=0)
    (unfinished,) = runs_directory().glob("again-*")
    again = resume(unfinished.name, wait=0)
    assert again.file("weights.safetensors") == whole.file("weights.safetensors")
