"""Test sets of comparisons."""

from pathlib import Path

import pytest

from s2s.comparison.entries import Entry, Run
from s2s.comparison.test_set import corpus_name, read_test_files
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


@pytest.mark.parametrize(
    ("recipe", "natural"), [("multi30k/attention", True), ("cmudict/attention", False), ("numbers/attention", False)]
)
def test_judgements_of_people_are_known_for_texts_of_a_language(recipe: str, natural: bool, tmp_path: Path) -> None:
    (tmp_path / "test").write_text("eins\n")
    entries = [Entry("x", "", [Run(load_recipe(recipe))])]
    assert read_test_files(f"mine={tmp_path}/test:{tmp_path}/test", entries).is_natural_text is natural
    assert read_test_files(f"mine={tmp_path}/test:{tmp_path}/test", []).is_natural_text
