import pytest
from pydantic import ValidationError

from s2s.registry.card import Card


def test_the_frozen_card_is_read_and_written_unchanged(frozen):
    card = Card.model_validate(frozen["card"])
    assert (
        card.model_dump(mode="json", by_alias=True, exclude_unset=True) == frozen["card"]
    )  # later fields have defaults
    assert card.attention
    assert card.training.best_update == 2860
    assert card.scores[1].metric == "exact"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parameters", -1),
        ("train_test_overlap", -2),
        ("surprise", 3),
        ("schema", 5),
        ("schema", 0),
        ("task", "cooking"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(frozen, key, value):
    with pytest.raises(ValidationError, match=key):
        Card.model_validate(frozen["card"] | {key: value})


def test_a_score_is_a_finite_number(frozen):
    score = frozen["card"]["scores"][0] | {"value": float("inf")}
    with pytest.raises(ValidationError, match="finite"):
        Card.model_validate(frozen["card"] | {"scores": [score]})
