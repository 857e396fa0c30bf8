"""Test sets of comparisons."""

import pytest

from s2s.comparison.test_set import corpus_name
from s2s.recipe.load import load_recipe


@pytest.mark.parametrize(
    ("recipe", "settings", "name"),
    [
        ("numbers/bottleneck-reversed", [], "numbers"),
        ("numbers/attention", ["name=mine"], "numbers"),
        ("multi30k/decoder-only-causal", ["data.root=x"], "multi30k"),
        ("multi30k/attention", ["data.root=x", "name=news-small"], "news"),
        ("multi30k/attention", ["data.root=x", "name=news"], "news"),
    ],
)
def test_corpus_has_a_name(recipe: str, settings: list[str], name: str) -> None:
    assert corpus_name(load_recipe(recipe, settings)) == name
