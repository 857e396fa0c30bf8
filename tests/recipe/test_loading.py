from pathlib import Path

import pytest

from s2s.errors import ArtefactError, UsageError
from s2s.recipe.loading import all_keys, builtin_recipes, find_recipe, load_recipe, parse_recipe, recipe_files

SMALL = "name = 'small'\n[data]\nkind = 'generator'\n[training]\nlr = 0.5\nwarmup = 7\n"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`small.toml` in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_every_builtin_recipe_loads(name):
    recipe = load_recipe(name)
    assert recipe.name == name.replace("/", "-")
    assert recipe.description


@pytest.mark.parametrize("folder", ["numbers", "multi30k"])
def test_bottleneck_and_attention_differ_in_the_context_alone(folder):
    attention, bottleneck = (load_recipe(f"{folder}/{name}").as_dict() for name in ("attention", "bottleneck"))
    assert attention["model"]["decoder"].pop("context") == "attention"
    assert bottleneck["model"]["decoder"].pop("context") == "summary"
    for values in (attention, bottleneck):
        del values["name"], values["description"]
    assert attention == bottleneck


def test_a_recipe_is_found_by_name_and_by_file(small):
    assert find_recipe("numbers/attention") == builtin_recipes()["numbers/attention"]
    assert find_recipe("small.toml") == Path("small.toml")


@pytest.mark.parametrize(
    ("reference", "hint"),
    [("numbers/atention", "numbers/attention"), ("xyzzy", "s2s recipes list"), ("missing.toml", "no such file")],
)
def test_a_recipe_that_does_not_exist(small, reference, hint):
    with pytest.raises(UsageError) as caught:
        find_recipe(reference)
    assert hint in f"{caught.value} {caught.value.hint}"


def test_what_a_file_says_and_defaults_for_the_rest(small):
    training = load_recipe("small.toml").training
    assert (training.lr, training.warmup, training.clip_norm) == (0.5, 7, 1.0)


def test_extends_replaces_single_keys(small):
    (small / "more.toml").write_text("extends = 'small.toml'\nname = 'more'\n[training]\nlr = 0.25\n")
    recipe = load_recipe("more.toml")
    assert (recipe.name, recipe.training.lr, recipe.training.warmup) == ("more", 0.25, 7)


def test_extends_is_relative_to_its_file_and_may_name_a_builtin_recipe(small):
    (small / "folder").mkdir()
    (small / "folder" / "more.toml").write_text("extends = '../small.toml'\n")
    assert load_recipe("folder/more.toml").training.lr == 0.5
    (small / "builtin.toml").write_text("extends = 'numbers/attention'\nname = 'mine'\n")
    assert load_recipe("builtin.toml").model == load_recipe("numbers/attention").model


def test_a_chain_of_files_the_nearest_first(small):
    (small / "b.toml").write_text("extends = 'small.toml'\n[training]\nlr = 0.25\nseed = 3\n")
    (small / "c.toml").write_text("extends = 'b.toml'\n[training]\nlr = 0.125\n")
    training = load_recipe("c.toml").training
    assert (training.lr, training.seed, training.warmup) == (0.125, 3, 7)
    assert [path.name for path in recipe_files(Path("c.toml"))] == ["c.toml", "b.toml", "small.toml"]


@pytest.mark.parametrize("text", ["extends = 'a.toml'\n", "extends = 'b.toml'\n"])
def test_a_recipe_cannot_extend_itself(small, text):
    (small / "a.toml").write_text(text)
    (small / "b.toml").write_text("extends = 'a.toml'\n")
    with pytest.raises(UsageError, match="extends itself"):
        load_recipe("a.toml")


@pytest.mark.parametrize("base", ["'nothing.toml'", "3"])
def test_extends_of_nothing(small, base):
    (small / "a.toml").write_text(f"extends = {base}\n")
    with pytest.raises(UsageError, match="extends"):
        load_recipe("a.toml")


@pytest.mark.parametrize("content", [b"name = ", b"name = '\xff'\n", b"[data\n"])
def test_a_file_that_is_not_toml(small, content):
    (small / "bad.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.toml: not TOML"):
        load_recipe("bad.toml")


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.lr=1e-3", 1e-3),
        ("training.seed=11", 11),
        ('training.limit="9 updates"', "9 updates"),
        ("training.limit=9 updates", "9 updates"),
        ("training.precision=fp32", "fp32"),
        ("training.betas=[0.5, 0.75]", (0.5, 0.75)),
    ],
)
def test_overrides_are_toml_values_or_else_texts(small, override, value):
    training = load_recipe("small.toml", [override]).training
    assert getattr(training, override.partition("=")[0].removeprefix("training.")) == value


def test_the_last_override_counts(small):
    assert load_recipe("small.toml", ["training.lr=0.1", "training.lr=0.2"]).training.lr == 0.2


@pytest.mark.parametrize("override", ["training.lr", "=3", "name.more=3", "training.lr.more=3"])
def test_overrides_that_are_none(small, override):
    with pytest.raises(UsageError, match="--set"):
        load_recipe("small.toml", [override])


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.batch_token=7", ["small.toml", "training.batch_token: no such key", "did you mean batch_tokens"]),
        ("trainin.lr=7", ["trainin: no such key", "did you mean training"]),
        ("model.decoder.contxt=7", ["model.decoder.contxt: no such key", "did you mean context"]),
        ("training.lr=-1", ["training.lr", "greater than 0", "-1", "peak learning rate"]),
        ("training.lr=fast", ["training.lr", "number", "fast"]),
        ("model.decoder.context=attentin", ["model.decoder.context", "attention"]),
        ("training.validation_lines=0", ["best_by is bleu"]),
        ("name=Big", ["name", "Big"]),
    ],
)
def test_a_wrong_key_or_value_is_named(small, override, parts):
    extra = ["training.best_by=bleu"] if "validation_lines" in override else []
    with pytest.raises(UsageError) as caught:
        load_recipe("small.toml", [override, *extra])
    for part in parts:
        assert part in f"{caught.value} {caught.value.hint}"


def test_what_is_missing_is_named(small):
    (small / "empty.toml").write_text("")
    with pytest.raises(UsageError, match="name: field required"):
        load_recipe("empty.toml")


def test_a_newer_schema_is_refused_by_number():
    with pytest.raises(ArtefactError, match="schema 2 is newer"):
        parse_recipe({"schema": 2, "anything": "at all"}, "recipe x")


def test_the_root_of_the_data_is_relative_to_the_file_or_to_the_current_folder(small, monkeypatch):
    (small / "folder").mkdir()
    (small / "folder" / "rooted.toml").write_text(SMALL.replace("'generator'", "'generator'\nroot = 'texts'"))
    assert load_recipe("small.toml").data.root == str(small)
    assert load_recipe("folder/rooted.toml").data.root == str(small / "folder" / "texts")
    assert load_recipe("folder/rooted.toml", ["data.root=mine"]).data.root == str(small / "mine")
    assert load_recipe("folder/rooted.toml", ["data.root=/else"]).data.root == "/else"


def test_all_keys_names_each_leaf_once():
    keys = list(all_keys())
    assert len(keys) == len(set(keys))
    assert {"schema", "name", "training.lr", "model.decoder.context", "data.train.source"} <= set(keys)
    assert "training" not in keys
