from pathlib import Path

import pytest

from s2s.errors import UsageError
from s2s.recipe.load import load_recipe

TMX = ["data.kind=tmx", "data.train.files=a", "data.hold_out_validation=1", "data.hold_out_test=1"]
BLOCKS = "model.encoder.family=transformer"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write `small.toml` to the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text("name = 'small'\n[data]\nkind = 'generator'\n")
    return tmp_path


def refused(*overrides: str) -> tuple[str, str]:
    """Return the error message and hint for `small.toml` with these overrides."""
    with pytest.raises(UsageError) as caught:
        load_recipe("small.toml", overrides)
    assert caught.value.message.startswith("recipe small.toml: ")
    return caught.value.message.removeprefix("recipe small.toml: "), caught.value.hint or ""


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.batch_token=7", ["training.batch_token: unknown key", "did you mean batch_tokens"]),
        ("trainin.lr=7", ["trainin: unknown key", "did you mean training"]),
        ("model.decoder.contxt=7", ["model.decoder.contxt: unknown key", "did you mean context"]),
        ("training.lr=-1", ["training.lr", "greater than 0", "-1", "peak learning rate"]),
        ("training.lr=fast", ["training.lr", "number", "fast"]),
        ("model.decoder.context=attentin", ["model.decoder.context", "attention"]),
        ("training.validation_lines=0", ["best_metric is bleu"]),
        ("name=Big", ["name", "Big"]),
        ("training.betas=[0.9, 2]", ["training.betas.1", "training.betas: AdamW's β₁"]),
        ("model.heads=4", ["model.heads: unknown key", "model.encoder.heads or model.decoder.heads"]),
        ("family=transformer", ["family: unknown key", "model.encoder.family or model.decoder.family"]),
        ("training.xyzzy=4", ["training.xyzzy: unknown key", "s2s explain"]),
    ],
)
def test_a_wrong_key_or_value_is_named(small, override, parts):
    extra = ["training.best_metric=bleu"] if "validation_lines" in override else []
    shown = " ".join(refused(override, *extra))
    for part in parts:
        assert part in shown


def test_a_missing_key_is_named(small):
    (small / "empty.toml").write_text("")
    with pytest.raises(UsageError, match="name: field required"):
        load_recipe("empty.toml")


@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        (
            ["model.encoder.hiden_size=3"],
            "model.encoder.hiden_size: unknown key; did you mean hidden_size?",
            "s2s explain model.encoder",
        ),
        ([BLOCKS, "model.encoder.layer=3"], "model.encoder.layer: unknown key; did you mean layers?", "s2s explain"),
        (["model.encoder.head=3"], "model.encoder.head: unknown key; did you mean heads?", "s2s explain model.encoder"),
        (
            ["model.encoder.heads=3"],
            "model.encoder.heads: unknown key for family rnn (known for family transformer)",
            "set model.encoder.family",
        ),
        (
            [BLOCKS, "model.encoder.hidden_size=3"],
            "model.encoder.hidden_size: unknown key for family transformer (known for family rnn, cnn)",
            "s2s explain model.encoder",
        ),
        (["model.encoder.rnn=3"], "model.encoder.rnn: unknown key", "s2s explain model.encoder"),
        (["model.encoder.context=x"], "model.encoder.context: unknown key; did you mean model.decoder.context?", ""),
    ],
)
def test_an_unknown_key_of_a_table_that_has_a_family(small, overrides, message, hint):
    shown, hinted = refused(*overrides)
    assert shown == message
    assert hint in hinted


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.root=texts"],
            "data.root: unknown key for kind generator "
            "(known for kind lines, tsv, csv, jsonl, parquet, tmx, po, images, features, mixed)",
        ),
        (["data.train.files=a"], "data.train: unknown key for kind generator"),
        (
            ["data.kind=tsv", "data.train.source=a"],
            "data.train.source: unknown key for kind tsv (known for kind lines)",
        ),
        (["data.kind=lines", "data.source_colum=1"], "data.source_colum: unknown key; did you mean source_column?"),
        (["data.kind=hub"], "data.hub: field required"),
        (
            ["data.kind=tsv", "data.target_column=0"],
            "data.target_column: expected a column's number, from 1, or its name",
        ),
        ([*TMX, "data.source_language=de"], "data: kind tmx needs source_language and target_language"),
        (["data.kind=po", "data.source_column=de"], "data.source_column: input should be 'msgid' or 'msgstr'"),
    ],
)
def test_a_key_of_another_kind_of_data_is_refused(small, overrides, message):
    assert refused(*overrides)[0].startswith(message)


@pytest.mark.parametrize(
    ("given", "hint"),
    [("line", "did you mean lines?"), ("7", "s2s explain data"), ("['tsv']", "did you mean tsv?")],
)
def test_an_unknown_kind(small, given, hint):
    message, hinted = refused(f"data.kind={given}")
    assert message.startswith(
        "data.kind: expected one of lines, tsv, csv, jsonl, parquet, tmx, po, images, features, hub, generator, "
        "mixed (found "
    )
    assert hint in hinted


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("training.learning_rate", "lr"),
        ("training.max_tokens", "batch_tokens"),
        ("training.mini-batch-words", "batch_tokens"),
        ("training.validation_freq", "validate_every"),
        ("training.max_epoch", "stop_after"),
        ("training.num_beams", "decoding.beam_size"),
        ("training.vocab_size", "tokenizer.vocab_size"),
        ("learning_rate", "training.lr"),
        ("model.encoder.d_ff", "ffn_size"),
        ("model.num_layers", "model.encoder.layers or model.decoder.layers"),
        ("model.d_model", "embedding_size"),
        ("decoding.early_stopping", "stopping"),
        ("training.early_stopping", "patience"),
        ("decoding.max_length", "max_ratio"),
    ],
)
def test_the_name_of_a_key_in_another_toolkit(small, key, near):
    assert refused(f"{key}=7")[0] == f"{key}: unknown key; did you mean {near}?"


def test_the_name_of_a_key_in_another_toolkit_in_a_file(small):
    (small / "small.toml").write_text("name = 'small'\n[data]\nkind = 'generator'\n[training]\nwarmup_steps = 3\n")
    assert refused()[0] == "training.warmup_steps: unknown key; did you mean warmup?"


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
    shown, hinted = refused(*overrides)
    assert shown == f"model.encoder.family: expected rnn, transformer or cnn {message}"
    assert hint in hinted


@pytest.mark.parametrize("key", ["model", "model.encoder", "data.generator", "training"])
def test_a_value_instead_of_a_table(small, key):
    assert refused(f"{key}=3")[0] == f"{key}: expected a table (found 3)"


def test_hints_describe_the_key_of_the_selected_family(small):
    assert refused("model.encoder.layers=0")[1] == "model.encoder.layers: number of layers"
    assert "model.encoder.hidden_size: hidden size of each" in refused("model.encoder.hidden_size=0")[1]
    assert "model.encoder.heads: number of attention heads" in refused(BLOCKS, "model.encoder.heads=0")[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.encoder.reverse_source=true"], "model.encoder: reverse_source requires bidirectional = false"),
        (
            ["model.decoder={family='transformer', attention_layer=7}"],
            "model.decoder: attention_layer (7) is not one of",
        ),
        (["model.embedding_size=12", BLOCKS], "model: encoder.heads (8) does not divide embedding_size (12)"),
        (["data.generator.min_items=9"], "data.generator: min_items (9) is larger"),
    ],
)
def test_contradicting_tables_are_named(small, overrides, message):
    assert refused(*overrides)[0].startswith(message)
