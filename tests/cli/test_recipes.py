import json
import tomllib

import pytest

from s2s.recipe.load import builtin_recipes, load_recipe
from s2s.recipe.recipe import Recipe


def test_list_names_every_recipe_with_its_description(run):
    found = run("recipes", "list")
    assert found.code == 0
    for name in builtin_recipes():
        assert f"{load_recipe(name).description}\n" in found.out
        assert f"{name} " in found.out
    assert "s2s train" in found.err
    assert run("recipes") == found


@pytest.mark.parametrize("file", builtin_recipes().values(), ids=builtin_recipes())
def test_every_builtin_recipe_begins_with_what_it_is(file):
    first, *rest = file.read_text().splitlines()
    assert first.startswith(f"# {file.parent.name}/{file.stem}: ")
    assert "schema = 5" in rest or 'extends = "' in "\n".join(rest)


def test_list_as_json(run):
    found = json.loads(run("recipes", "list", "--json").out)
    assert [one["recipe"] for one in found] == list(builtin_recipes())
    assert {"recipe", "name", "description"} == set(found[0])


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_show_prints_the_whole_recipe_as_toml_that_loads_to_the_same(run, in_directory, name):
    text = run("recipes", "show", name).out
    assert tomllib.loads(text)["training"]["keep_checkpoints"] == 2  # a default
    (in_directory / "shown.toml").write_text(text)
    assert same_but_for_the_directory(load_recipe("shown.toml"), load_recipe(name))


def same_but_for_the_directory(one: Recipe, other: Recipe) -> bool:
    return one.model_copy(update={"data": one.data.with_root("")}) == other.model_copy(
        update={"data": other.data.with_root("")}
    )


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_show_names_no_directory_of_this_machine(run, in_directory, name):
    shown = run("recipes", "show", name)
    assert "root" not in tomllib.loads(shown.out)["data"]
    assert str(builtin_recipes()[name].parents[1]) not in shown.out


def test_show_with_overrides_is_what_train_uses(run, in_directory):
    values = ["model.encoder.layers=2", "model.encoder.family=transformer", "data.root=texts"]
    given = [part for value in values for part in ("--set", value)]
    (in_directory / "shown.toml").write_text(run("recipes", "show", "multi30k/attention", *given).out)
    shown = load_recipe("shown.toml")
    assert shown == load_recipe("multi30k/attention", values)
    assert (shown.model.encoder.family, shown.model.encoder.layers) == ("transformer", 2)
    assert shown.data.root == str(in_directory / "texts")


def test_show_with_a_size_is_read_again_as_the_same(run, in_directory):
    (in_directory / "sized.toml").write_text("name = 'sized'\ndata.kind = 'generator'\nmodel.size = 'tiny'\n")
    (in_directory / "shown.toml").write_text(run("recipes", "show", "sized.toml").out)
    assert load_recipe("shown.toml") == load_recipe("sized.toml")
    assert load_recipe("shown.toml").model.encoder.hidden_size == 128


def test_show_refuses_values_as_train_does(run):
    found = run("recipes", "show", "numbers/attention", "--set", "model.encoder.heads=2")
    assert found.code == 2
    assert "model.encoder.heads: unknown key for family rnn (known for family transformer)" in found.err


def test_show_as_json(run):
    assert json.loads(run("recipes", "show", "numbers/bottleneck", "--json").out) == tomllib.loads(
        run("recipes", "show", "numbers/bottleneck").out
    )


def test_show_of_an_unknown_recipe_names_the_nearest(run):
    found = run("recipes", "show", "numbers/atention")
    assert found.code == 2
    assert "did you mean numbers/attention" in found.err


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_a_copy_works_on_its_own(run, in_directory, name):
    assert run("recipes", "copy", name, "mine").code == 0
    copied = load_recipe(f"mine/{name.rpartition('/')[2]}.toml")
    original = load_recipe(name)
    if copied.data.kind == "lines":
        assert copied.data.root == str(in_directory / "mine")
    assert same_but_for_the_directory(copied, original)


def test_copy_names_what_it_wrote_and_the_next_command(run, in_directory):
    found = run("recipes", "copy", "numbers/bottleneck")
    assert found == (0, "", "wrote attention.toml\nwrote bottleneck.toml\nNext: s2s train bottleneck.toml\n")
    assert {path.name for path in in_directory.iterdir()} == {"attention.toml", "bottleneck.toml"}


def test_a_copy_can_have_another_name(run, in_directory):
    assert run("recipes", "copy", "numbers/bottleneck", "mine/small.toml").code == 0
    assert load_recipe("mine/small.toml").name == "numbers-bottleneck"
    assert {path.name for path in (in_directory / "mine").iterdir()} == {"attention.toml", "small.toml"}


def test_copy_refuses_the_name_of_what_the_recipe_extends(run, in_directory):
    found = run("recipes", "copy", "numbers/bottleneck", "attention.toml", "--force")
    assert found.code == 2
    assert list(in_directory.iterdir()) == []


def test_copy_replaces_a_changed_file_only_with_force(run, in_directory):
    changed = in_directory / "attention.toml"
    changed.write_text("name = 'changed'\n")
    refused = run("recipes", "copy", "numbers/bottleneck")
    assert refused.code == 2
    assert "attention.toml exists" in refused.err
    assert "--force" in refused.err
    assert changed.read_text() == "name = 'changed'\n"
    assert not (in_directory / "bottleneck.toml").exists()
    assert run("recipes", "copy", "numbers/bottleneck", "--force").code == 0
    assert load_recipe("attention.toml").name == "numbers-attention"


def test_copies_of_two_recipes_share_their_base(run, in_directory):
    assert run("recipes", "copy", "numbers/attention").code == 0
    assert run("recipes", "copy", "numbers/bottleneck").code == 0


def test_copy_refuses_other_recipes(run, in_directory):
    (in_directory / "own.toml").write_text("name = 'own'\n")
    assert run("recipes", "copy", "own.toml", "elsewhere").code == 2
    assert not (in_directory / "elsewhere").exists()
