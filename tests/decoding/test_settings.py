"""Decoding options that are refused: which flags the error names, and a hint that works."""

from typing import Any

import pytest

from s2s.decoding.settings import TranslatorSettings
from s2s.errors import UsageError
from s2s.recipe.recipe import Recipe


def settings(**decoding: Any) -> TranslatorSettings:
    recipe = {"name": "numbers", "data": {"kind": "generator"}, "decoding": decoding}
    return TranslatorSettings.of(Recipe.model_validate(recipe))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 3, "length_penalty": 11.0}, "--length-penalty: should be less than or equal to 10"),
        ({"beam_size": 3, "min_ratio": 4.0}, "--min-ratio: min_ratio (4) is larger than max_ratio (3)"),
    ],
)
def test_only_the_wrong_option_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings().with_decoding(given)
    assert caught.value.message == message


def test_options_of_beam_search_need_no_sample_if_the_model_samples() -> None:
    with pytest.raises(UsageError, match="--beam-size only applies to beam search, not with --sample") as caught:
        settings(sample=True).with_decoding({"beam_size": 3})
    assert caught.value.hint == "add --no-sample: numbers samples by default"
    assert settings(sample=True).with_decoding({"beam_size": 3, "sample": False}).decoding.beam_size == 3
    with pytest.raises(UsageError) as caught:
        settings().with_decoding({"beam_size": 3, "sample": True})
    assert caught.value.hint == "drop one of them"
