import pytest

from s2s.recipe.aliases import ALIASES, keys_called
from s2s.recipe.explain import recipe_keys

KEYS = {key.key for key in recipe_keys()}


def test_every_alias_names_an_existing_key():
    assert sorted(set(ALIASES) - KEYS) == []


def test_no_alias_is_a_key_of_its_own_table():
    tables = [(key.rpartition(".")[0], name) for key, names in ALIASES.items() for name in names.split()]
    assert [f"{table}.{name}" for table, name in tables if f"{table}.{name}" in KEYS] == []


def test_no_table_uses_a_name_for_two_keys():
    names = [(key.rpartition(".")[0], name) for key, names in ALIASES.items() for name in names.split()]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


@pytest.mark.parametrize("name", ["max_tokens", "max-tokens", "Max_Tokens"])
def test_dashes_and_case_do_not_matter(name):
    assert keys_called(name) == ["training.batch_tokens"]


def test_a_name_may_stand_for_several_keys():
    assert keys_called("num_layers") == ["model.encoder.layers", "model.decoder.layers"]
    assert keys_called("xyzzy") == []
