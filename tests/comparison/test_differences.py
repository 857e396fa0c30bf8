"""What sets recipes apart."""

from s2s.comparison.differences import differences
from s2s.recipe.loading import load_recipe


def test_one_line_for_each_key_that_differs() -> None:
    names = ("numbers/bottleneck", "numbers/attention")
    recipes = [
        load_recipe(name, [f"training.lr={rate}"]).as_dict() for name, rate in zip(names, (0.004, 0.001), strict=True)
    ]
    assert differences(recipes) == ["model.decoder.context: summary | attention", "training.lr: 0.004 | 0.001"]
    assert differences(recipes[:1] * 2) == []


def test_a_key_that_only_one_has() -> None:
    assert differences([{"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}]) == ["a.c: – | 2"]
