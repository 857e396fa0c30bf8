from pathlib import Path

import pytest

from s2s.errors import UsageError
from s2s.recipe.load import load_recipe

BLOCKS = "model.encoder.family=transformer"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`small.toml` in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text("name = 'small'\n[data]\nkind = 'generator'\n")
    return tmp_path


def refused(*overrides: str) -> tuple[str, str]:
    """What is said of `small.toml` with these overrides, and the hint."""
    with pytest.raises(UsageError) as caught:
        load_recipe("small.toml", overrides)
    assert caught.value.message.startswith("recipe small.toml: ")
    return caught.value.message.removeprefix("recipe small.toml: "), caught.value.hint or ""


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.batch_token=7", ["training.batch_token: no such key", "did you mean batch_tokens"]),
        ("trainin.lr=7", ["trainin: no such key", "did you mean training"]),
        ("model.decoder.contxt=7", ["model.decoder.contxt: no such key", "did you mean context"]),
        ("training.lr=-1", ["training.lr", "greater than 0", "-1", "peak learning rate"]),
        ("training.lr=fast", ["training.lr", "number", "fast"]),
        ("model.decoder.context=attentin", ["model.decoder.context", "attention"]),
        ("training.validation_lines=0", ["best_metric is bleu"]),
        ("name=Big", ["name", "Big"]),
        ("training.betas=[0.9, 2]", ["training.betas.1", "training.betas: AdamW's β₁"]),
        ("model.heads=4", ["model.heads: no such key", "model.encoder.heads or model.decoder.heads"]),
        ("family=transformer", ["family: no such key", "model.encoder.family or model.decoder.family"]),
        ("training.xyzzy=4", ["training.xyzzy: no such key", "s2s explain"]),
    ],
)
def test_a_wrong_key_or_value_is_named(small, override, parts):
    extra = ["training.best_metric=bleu"] if "validation_lines" in override else []
    said = " ".join(refused(override, *extra))
    for part in parts:
        assert part in said


def test_what_is_missing_is_named(small):
    (small / "empty.toml").write_text("")
    with pytest.raises(UsageError, match="name: field required"):
        load_recipe("empty.toml")


@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        (
            ["model.encoder.hiden_size=3"],
            "model.encoder.hiden_size: no such key; did you mean hidden_size?",
            "s2s explain model.encoder",
        ),
        ([BLOCKS, "model.encoder.layer=3"], "model.encoder.layer: no such key; did you mean layers?", "s2s explain"),
        (["model.encoder.head=3"], "model.encoder.head: no such key; did you mean heads?", "s2s explain model.encoder"),
        (["model.encoder.heads=3"], "model.encoder.heads: no such key", "a key of family transformer"),
        ([BLOCKS, "model.encoder.hidden_size=3"], "model.encoder.hidden_size: no such key", "a key of family rnn"),
        (["model.encoder.rnn=3"], "model.encoder.rnn: no such key", "s2s explain model.encoder"),
        (["model.encoder.context=x"], "model.encoder.context: no such key; did you mean model.decoder.context?", ""),
    ],
)
def test_an_unknown_key_of_a_table_that_has_a_family(small, overrides, message, hint):
    said = refused(*overrides)
    assert said[0] == message
    assert hint in said[1]


@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        (["model.encoder.family=transfomer"], "(found 'transfomer')", "did you mean transformer?"),
        (["model.encoder.family=7"], "(found 7)", "s2s explain model.encoder"),
        (["model.encoder.family=['rnn']"], "(found ['rnn'])", "did you mean rnn?"),
        (["model.size=tiny", "model.encoder.family=['x']"], "(found ['x'])", "s2s explain model.encoder"),
        (["model.size=tiny", "model.encoder.family=embedding"], "(found 'embedding')", "s2s explain model.encoder"),
    ],
)
def test_an_unknown_family(small, overrides, message, hint):
    said = refused(*overrides)
    assert said[0] == f"model.encoder.family: expected rnn or transformer {message}"
    assert hint in said[1]


@pytest.mark.parametrize("key", ["model", "model.encoder", "data.train", "training"])
def test_a_value_where_a_table_belongs(small, key):
    assert refused(f"{key}=3")[0] == f"{key}: expected a table (found 3)"


def test_a_wrong_value_of_a_family_is_described_as_that_family_has_it(small):
    assert refused("model.encoder.layers=0")[1] == "model.encoder.layers: number of stacked layers"
    assert refused(BLOCKS, "model.encoder.layers=0")[1] == "model.encoder.layers: blocks"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.encoder.reverse_source=true"], "model.encoder: reverse_source says nothing"),
        (["model.decoder={family='transformer', attention_layer=7}"], "model.decoder: attention_layer is not one of"),
        (["model.embedding_size=12", BLOCKS], "model: encoder.heads (8) do not divide"),
        (["data.generator.min_items=9"], "data.generator: min_items is larger"),
    ],
)
def test_tables_that_contradict_themselves_are_named(small, overrides, message):
    assert refused(*overrides)[0].startswith(message)
