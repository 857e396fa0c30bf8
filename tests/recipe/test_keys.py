import pytest

from s2s.errors import UsageError
from s2s.recipe.keys import keys_named, recipe_keys, section_titles
from s2s.recipe.loading import all_keys

KEYS = {key.key: key for key in recipe_keys()}


def test_every_key_is_there_and_described():
    assert set(KEYS) == set(all_keys())
    assert [key.key for key in recipe_keys() if len(key.description) < 5] == []


@pytest.mark.parametrize(
    ("key", "values", "default"),
    [
        ("training.lr", "number > 0, ≤ 10", 2e-3),
        ("training.warmup", "integer ≥ 0", 100),
        ("training.decay", "linear | none", "linear"),
        ("training.betas", "list of 2: number ≥ 0, < 1", [0.9, 0.98]),
        ("data.train.source", "list of text", []),
        ("data.drop_duplicates", "true or false", True),
        ("model.decoder.attention_width", "integer ≥ 1, ≤ 16384", None),
        ("data.hub", "text", ""),
    ],
)
def test_values_and_defaults(key, values, default):
    assert (KEYS[key].values, KEYS[key].default) == (values, default)


def test_a_pattern_is_shown():
    assert KEYS["training.limit"].values.endswith("[1-9][0-9]* (updates?|epochs?)")


def test_only_what_has_no_default_is_required():
    assert [key.key for key in recipe_keys() if key.required] == ["name"]


def test_the_keys_of_a_table_stand_together():
    tables = [key.key.rpartition(".")[0] for key in recipe_keys()]
    changes = [table for table, before in zip(tables, [None, *tables], strict=False) if table != before]
    assert len(changes) == len(set(changes))


def test_every_table_has_a_title():
    titles = section_titles()
    assert {key.key.rpartition(".")[0] for key in recipe_keys()} <= set(titles)
    assert all(titles.values())


@pytest.mark.parametrize(
    ("name", "count"), [("training.lr", 1), ("decoding", 4), ("max_ratio", 2), ("model.decoder", 7)]
)
def test_keys_by_name_by_table_and_by_last_name(name, count):
    assert len(keys_named(name)) == count


@pytest.mark.parametrize(("name", "near"), [("training.lrs", "training.lr"), ("beem", "beam"), ("modle", "model")])
def test_an_unknown_name_has_neighbours(name, near):
    with pytest.raises(UsageError) as caught:
        keys_named(name)
    assert near in str(caught.value.hint)
