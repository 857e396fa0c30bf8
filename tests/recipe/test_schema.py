import pytest
from pydantic import TypeAdapter, ValidationError

from s2s.recipe.data import DataOptions
from s2s.recipe.kinds import GeneratorDataOptions, GeneratorOptions
from s2s.recipe.recipe import SCHEMA, Recipe, is_name
from s2s.recipe.training import TrainingOptions, limit_parts

data_options = TypeAdapter(DataOptions).validate_python

FILES = {"source": ["a.de"], "target": ["a.en"]}
HELD = {"hold_out_validation": 3, "hold_out_test": 5}


def lines(**changes) -> DataOptions:
    return data_options({"kind": "lines", "train": FILES} | HELD | changes)


@pytest.mark.parametrize("limit", ["12 epochs", "1 epoch", "3000 updates", "1 update"])
def test_valid_limits(limit):
    assert TrainingOptions(stop_after=limit).stop_after == limit


@pytest.mark.parametrize("limit", ["0 epochs", "12", "epochs", "-1 updates", "1.5 epochs", "12 epochs ", "5 hours", ""])
def test_invalid_limits_are_refused(limit):
    with pytest.raises(ValidationError):
        TrainingOptions(stop_after=limit)


def test_parts_of_a_limit():
    assert limit_parts("12 epochs") == (12, "epochs")
    assert limit_parts("1 update") == (1, "updates")


@pytest.mark.parametrize("name", ["a", "numbers-attention", "0.1_b", "x" * 64])
def test_valid_names(name):
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "A", "-a", ".hidden", "a/b", "a b", "ä", "x" * 65, "a\n", "..", "a:1", "a@b"])
def test_invalid_names(name):
    assert not is_name(name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {}}, "train names no data"),
        ({"train": {"source": ["a.de"]}}, "train needs both source and target"),
        ({"kind": "hub", "train": {"hub_split": "train"}, "hub": ""}, "hub.hub\n.*at least 1 character"),
        ({"hold_out_test": 0}, "either test or hold_out_test"),
        ({"validation": FILES}, "either validation or hold_out_validation"),
    ],
)
def test_contradicting_data_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        lines(**changes)


def test_validation_and_test_are_files_or_held_out():
    assert lines().hold_out_test == 5
    assert lines(test=FILES, hold_out_test=0).test.given


def test_a_generator_needs_no_files():
    assert GeneratorDataOptions(kind="generator").generator.name == "numbers"


def test_min_items_must_not_exceed_max_items():
    with pytest.raises(ValidationError, match=r"min_items \(4\) is larger than max_items \(3\)"):
        GeneratorOptions(min_items=4, max_items=3)


def test_best_metric_bleu_requires_translations():
    with pytest.raises(ValidationError, match="validation_lines is 0"):
        TrainingOptions(best_metric="bleu", validation_lines=0)


def test_options_are_immutable():
    with pytest.raises(ValidationError):
        TrainingOptions().lr = 1.0  # type: ignore[misc]


def test_numbers_are_finite():
    with pytest.raises(ValidationError):
        TrainingOptions(lr=float("nan"))


def test_a_recipe_survives_a_round_trip():
    recipe = Recipe(name="mine", data=lines())
    values = recipe.as_dict()
    assert values["schema"] == SCHEMA
    assert Recipe.model_validate(values) == recipe


def test_only_kinds_that_read_files_have_a_base_directory():
    assert lines().with_root("texts") == lines(root="texts")
    made = GeneratorDataOptions(kind="generator")
    assert made.with_root("texts") == made
