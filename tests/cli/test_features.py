"""A captioner of features, as a user trains and uses it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_features import make_features

from s2s.errors import UsageError
from s2s.recipe.load import load_recipe
from s2s.registry.store import Registry


@pytest.fixture
def recipe(in_directory: Path) -> str:
    make_features(in_directory)
    return "grids.toml"


def test_it_trains_captions_and_is_evaluated(recipe: str, run: Callable) -> None:
    assert run("train", recipe).code == 0
    card = Registry.default().resolve("grids").card
    assert card.architecture.startswith("projected features on a grid of 2 × 3")
    assert run("data", "inspect", recipe).out.count("features of 2 × 3 × 5") == 1
    assert run("plan", recipe).code == 0
    listed = run("caption", "grids", "grids", "--json")
    found = [json.loads(line) for line in listed.out.splitlines()]
    assert [one["image"] for one in found] == [f"grids/{number}.safetensors" for number in range(40)]
    Path("grids/0.safetensors").write_bytes(b"none")
    some = run("caption", "grids", "grids/0.safetensors", "grids/5.safetensors", "--attention", "maps.html")
    assert some.out.splitlines() == ["", found[5]["text"]]
    assert "1 of 2 images: cannot be read" in some.err
    assert Path("maps.html").read_text().count("<h2>") == 1
    shown = run("caption", "grids", "grids/5.safetensors", "--show-attention")
    assert (shown.code, found[5]["text"] in shown.out) == (0, True)
    evaluated = run("evaluate", "grids", "--json")
    assert set(json.loads(evaluated.out)["scores"]) >= {"bleu", "cider"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.encoder.input_channels=4"], "need an encoder with input_channels = 5 and no stages"),
        (["model.encoder.channels=[4]", "model.encoder.blocks=[0]"], "stages read 3 colours"),
        (["training.image_shift=0.1"], "features have none"),
        (["data.channels=0"], "data.channels"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(recipe: str, settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(recipe, settings)


def test_pixels_need_stages() -> None:
    with pytest.raises(UsageError, match=r"sources of data\.kind generator need an encoder with stages"):
        load_recipe("scenes/attention", ["model.encoder.channels=[]", "model.encoder.blocks=[]"])
