import json
import tomllib

import pytest

from s2s.recipe.loading import builtin_recipes, load_recipe


def test_list_names_every_recipe_with_its_description(run):
    found = run("recipes", "list")
    assert found.code == 0
    for name in builtin_recipes():
        assert f"{load_recipe(name).description}\n" in found.out
        assert f"{name} " in found.out
    assert "s2s train" in found.err


def test_list_as_json(run):
    found = json.loads(run("recipes", "list", "--json").out)
    assert [one["recipe"] for one in found] == list(builtin_recipes())
    assert {"recipe", "name", "description"} == set(found[0])


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_show_prints_the_whole_recipe_as_toml_that_loads_to_the_same(run, in_folder, name):
    text = run("recipes", "show", name).out
    assert tomllib.loads(text)["training"]["keep_checkpoints"] == 2  # a default
    (in_folder / "shown.toml").write_text(text)
    assert load_recipe("shown.toml") == load_recipe(name)


def test_show_as_json_says_the_same(run):
    assert json.loads(run("recipes", "show", "numbers/bottleneck", "--json").out) == tomllib.loads(
        run("recipes", "show", "numbers/bottleneck").out
    )


def test_show_of_an_unknown_recipe_names_the_nearest(run):
    found = run("recipes", "show", "numbers/atention")
    assert found.code == 2
    assert "did you mean numbers/attention" in found.err


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_a_copy_works_on_its_own(run, in_folder, name):
    assert run("recipes", "copy", name, "mine").code == 0
    copied = load_recipe(f"mine/{name.rpartition('/')[2]}.toml")
    original = load_recipe(name)
    assert copied.data.root == str(in_folder / "mine")
    assert copied.model_copy(update={"data": original.data}) == original
    assert copied.data.model_copy(update={"root": original.data.root}) == original.data


def test_copy_names_what_it_wrote_and_the_next_command(run, in_folder):
    found = run("recipes", "copy", "numbers/bottleneck")
    assert found == (0, "", "wrote attention.toml\nwrote bottleneck.toml\nNext: s2s train bottleneck.toml\n")
    assert {path.name for path in in_folder.iterdir()} == {"attention.toml", "bottleneck.toml"}


def test_a_copy_can_have_another_name(run, in_folder):
    assert run("recipes", "copy", "numbers/bottleneck", "mine/small.toml").code == 0
    assert load_recipe("mine/small.toml").name == "numbers-bottleneck"
    assert {path.name for path in (in_folder / "mine").iterdir()} == {"attention.toml", "small.toml"}


def test_copy_refuses_the_name_of_what_the_recipe_extends(run, in_folder):
    found = run("recipes", "copy", "numbers/bottleneck", "attention.toml", "--force")
    assert found.code == 2
    assert list(in_folder.iterdir()) == []


def test_copy_replaces_a_changed_file_only_with_force(run, in_folder):
    changed = in_folder / "attention.toml"
    changed.write_text("name = 'changed'\n")
    refused = run("recipes", "copy", "numbers/bottleneck")
    assert refused.code == 2
    assert "attention.toml exists" in refused.err
    assert "--force" in refused.err
    assert changed.read_text() == "name = 'changed'\n"
    assert not (in_folder / "bottleneck.toml").exists()
    assert run("recipes", "copy", "numbers/bottleneck", "--force").code == 0
    assert load_recipe("attention.toml").name == "numbers-attention"


def test_copies_of_two_recipes_share_the_file_that_both_need(run, in_folder):
    assert run("recipes", "copy", "numbers/attention").code == 0
    assert run("recipes", "copy", "numbers/bottleneck").code == 0


def test_copy_is_for_recipes_that_come_with_s2s(run, in_folder):
    (in_folder / "own.toml").write_text("name = 'own'\n")
    assert run("recipes", "copy", "own.toml", "elsewhere").code == 2
    assert not (in_folder / "elsewhere").exists()
