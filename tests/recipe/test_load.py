import json
import re
from itertools import permutations
from pathlib import Path

import pytest

from s2s.errors import ArtefactError, OutdatedError, UsageError
from s2s.recipe.kinds import GeneratorDataOptions, LinesDataOptions, TsvDataOptions
from s2s.recipe.load import builtin_recipes, find_recipe, load_recipe, parse_recipe, recipe_files, recipe_to_keep
from s2s.recipe.recipe import SCHEMA
from s2s.recipe.sides import RnnEncoderOptions, TransformerEncoderOptions

SMALL = "name = 'small'\n[data]\nkind = 'generator'\n[training]\nlr = 0.5\nwarmup = 7\n"
LINES = "name = 'lines'\n[data]\ntrain = { source = 'a', target = 'b' }\nhold_out_validation = 2\nhold_out_test = 3\n"
GATED = f"{SMALL}[model.encoder]\ncell = 'lstm'\nhidden_size = 24\n[model.decoder]\ncell = 'lstm'\nhidden_size = 48\n"
FROZEN = Path(__file__).parent / "frozen" / "recipe-5.json"
RESULTS = sorted((builtin_recipes()["numbers/attention"].parent / "results").glob("*.json"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write `small.toml` to the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_every_builtin_recipe_loads(name):
    recipe = load_recipe(name)
    assert recipe.name == name.replace("/", "-")
    assert recipe.description


@pytest.mark.parametrize("directory", ["numbers", "multi30k", "bible", "cmudict"])
def test_bottleneck_and_attention_differ_only_in_the_context(directory):
    attention, bottleneck = (load_recipe(f"{directory}/{name}").as_dict() for name in ("attention", "bottleneck"))
    assert attention["model"]["decoder"].pop("context") == "attention"
    assert bottleneck["model"]["decoder"].pop("context") == "fixed"
    for values in (attention, bottleneck):
        del values["name"], values["description"]
    assert attention == bottleneck


def test_a_recipe_is_found_by_name_and_by_file(small):
    assert find_recipe("numbers/attention") == builtin_recipes()["numbers/attention"]
    assert find_recipe("small.toml") == Path("small.toml")


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("numbers/atention", "did you mean numbers/attention"),
        ("numbers/atention.toml", "did you mean numbers/attention"),
        ("smal.toml", "did you mean small.toml"),
        ("small.tml", "did you mean small.toml"),
        ("xyzzy", "s2s recipes list"),
        ("missing.toml", "no such file"),
    ],
)
def test_a_recipe_that_does_not_exist(small, reference, hint):
    with pytest.raises(UsageError) as caught:
        find_recipe(reference)
    assert hint in f"{caught.value} {caught.value.hint}"


def test_a_byte_order_mark_is_no_part_of_a_recipe(small):
    (small / "marked.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_recipe("marked.toml") == load_recipe("small.toml")


@pytest.mark.parametrize("key", ["training.seed", "data.generator.seed", "decoding.seed"])
def test_seeds_are_bounded(small, key):
    load_recipe("numbers/attention", [f"{key}={2**32 - 1}"])
    with pytest.raises(UsageError, match=key):
        load_recipe("numbers/attention", [f"{key}=1{'0' * 30}"])


def test_keys_left_out_have_defaults(small):
    training = load_recipe("small.toml").training
    assert (training.lr, training.warmup, training.clip_norm) == (0.5, 7, 1.0)


def test_extends_replaces_single_keys(small):
    (small / "more.toml").write_text("extends = 'small.toml'\nname = 'more'\n[training]\nlr = 0.25\n")
    recipe = load_recipe("more.toml")
    assert (recipe.name, recipe.training.lr, recipe.training.warmup) == ("more", 0.25, 7)


def test_extends_is_relative_to_its_file_and_may_name_a_builtin_recipe(small):
    (small / "directory").mkdir()
    (small / "directory" / "more.toml").write_text("extends = '../small.toml'\n")
    assert load_recipe("directory/more.toml").training.lr == 0.5
    (small / "builtin.toml").write_text("extends = 'numbers/attention'\nname = 'mine'\n")
    assert load_recipe("builtin.toml").model == load_recipe("numbers/attention").model


def test_extends_may_be_chained(small):
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
def test_extends_must_name_a_recipe(small, base):
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
        ('training.stop_after="9 updates"', "9 updates"),
        ("training.stop_after=9 updates", "9 updates"),
        ("training.precision=fp32", "fp32"),
        ("training.betas=[0.5, 0.75]", (0.5, 0.75)),
    ],
)
def test_overrides_are_toml_values_or_strings(small, override, value):
    training = load_recipe("small.toml", [override]).training
    assert getattr(training, override.partition("=")[0].removeprefix("training.")) == value


def test_the_last_override_wins(small):
    assert load_recipe("small.toml", ["training.lr=0.1", "training.lr=0.2"]).training.lr == 0.2


@pytest.mark.parametrize("override", ["training.lr", "=3", "name.more=3", "training.lr.more=3"])
def test_invalid_overrides_are_refused(small, override):
    with pytest.raises(UsageError, match="--set"):
        load_recipe("small.toml", [override])


@pytest.mark.parametrize("override", ["training.seed=" + "9" * 5000, "model=" + "[" * 5000])
def test_an_override_that_is_no_toml_is_a_string(small, override):
    key, _, value = override.partition("=")
    with pytest.raises(UsageError, match=f"{key}: .*{re.escape(value[:9])}"):
        load_recipe("small.toml", [override])


def test_an_older_schema_is_refused():
    with pytest.raises(OutdatedError, match="recipe x: older than this s2s reads; train anew"):
        parse_recipe({"schema": SCHEMA - 1, "anything": "at all"}, "recipe x")


def test_a_newer_schema_is_refused_by_number():
    with pytest.raises(ArtefactError, match=f"schema {SCHEMA + 1} is newer"):
        parse_recipe({"schema": SCHEMA + 1, "anything": "at all"}, "recipe x")


def test_the_root_of_the_data_is_relative_to_the_file_or_to_the_current_directory(small, monkeypatch):
    (small / "directory").mkdir()
    (small / "lines.toml").write_text(LINES)
    (small / "directory" / "rooted.toml").write_text(f"{LINES}root = 'texts'\n")
    assert load_recipe("lines.toml").data.root == str(small)
    assert load_recipe("directory/rooted.toml").data.root == str(small / "directory" / "texts")
    assert load_recipe("directory/rooted.toml", ["data.root=mine"]).data.root == str(small / "mine")
    assert load_recipe("directory/rooted.toml", ["data.root=/else"]).data.root == "/else"
    (small / "child.toml").write_text("extends = 'directory/rooted.toml'\n")
    assert load_recipe("child.toml").data.root == str(small / "directory" / "texts")
    assert recipe_to_keep("child.toml")["data"]["root"] == str(small / "directory" / "texts")
    with pytest.raises(UsageError, match=r"data\.root: input should be a valid string \(found \['a', 'b'\]\)"):
        load_recipe("lines.toml", ['data.root=["a", "b"]'])


@pytest.fixture
def gated(small: Path) -> Path:
    """Write `lstm.toml` beside `small.toml`, with keys that only recurrent networks have."""
    (small / "lstm.toml").write_text(GATED)
    return small


def test_a_table_of_another_family_replaces_the_one_it_extends(gated):
    blocks = "[model.encoder]\nfamily = 'transformer'\nlayers = 3\n"
    (gated / "blocks.toml").write_text(f"extends = 'lstm.toml'\n{blocks}")
    model = load_recipe("blocks.toml").model
    assert model.encoder.model_dump(exclude_defaults=True) == {"family": "transformer", "layers": 3}
    assert (model.decoder.cell, model.decoder.hidden_size) == ("lstm", 48)


def test_another_architecture_drops_the_keys_of_the_one_it_extends(small):
    (small / "alone.toml").write_text("extends = 'numbers/transformer'\n[model]\narchitecture = 'decoder_only'\n")
    (small / "causal.toml").write_text("extends = 'alone.toml'\n[model]\nsource_attention = 'causal'\n")
    (small / "both.toml").write_text("extends = 'causal.toml'\n[model]\narchitecture = 'encoder_decoder'\n")
    given = load_recipe("numbers/transformer")
    for found in load_recipe("causal.toml"), load_recipe("numbers/transformer", ["model.architecture=decoder_only"]):
        assert (found.model.encoder, found.model.decoder) == (None, given.model.decoder)
    assert load_recipe("causal.toml").model.source_attention == "causal"
    assert load_recipe("both.toml").model == given.model.model_copy(update={"encoder": RnnEncoderOptions()})
    with pytest.raises(UsageError, match=r'model\.encoder: architecture = "decoder_only" has no encoder'):
        load_recipe("alone.toml", ["model.encoder.layers=2"])
    with pytest.raises(UsageError, match=r"model\.arch: unknown key; did you mean architecture\?"):
        load_recipe("alone.toml", ["model.arch=decoder_only"])


def test_images_need_an_encoder(small):
    (small / "alone.toml").write_text("extends = 'scenes/transformer'\n[model]\narchitecture = 'decoder_only'\n")
    with pytest.raises(UsageError, match=r"need an encoder, but model\.architecture is decoder_only"):
        load_recipe("alone.toml")


def test_a_table_of_the_same_family_is_merged(gated):
    (gated / "blocks.toml").write_text("extends = 'lstm.toml'\n[model.encoder]\nfamily = 'rnn'\nhidden_size = 20\n")
    (gated / "more.toml").write_text("extends = 'blocks.toml'\n[model.encoder]\nlayers = 2\n")
    encoder = load_recipe("more.toml").model.encoder
    assert (encoder.cell, encoder.hidden_size, encoder.layers) == ("lstm", 20, 2)


def test_switching_the_family_back_restores_defaults(gated):
    (gated / "blocks.toml").write_text("extends = 'lstm.toml'\n[model.encoder]\nfamily = 'transformer'\nheads = 4\n")
    (gated / "deeper.toml").write_text("extends = 'blocks.toml'\n[model.encoder]\nlayers = 2\n")
    (gated / "back.toml").write_text("extends = 'deeper.toml'\n[model.encoder]\nfamily = 'rnn'\nlayers = 5\n")
    assert load_recipe("deeper.toml").model.encoder.model_dump(include={"family", "heads", "layers"}) == {
        "family": "transformer",
        "heads": 4,
        "layers": 2,
    }
    assert load_recipe("back.toml").model.encoder == RnnEncoderOptions(layers=5)


@pytest.mark.parametrize(
    "overrides",
    list(permutations(["model.encoder.layers=2", "model.encoder.family=transformer", "model.encoder.heads=4"])),
)
def test_overrides_of_a_family_and_of_its_keys_in_any_order(gated, overrides):
    encoder = load_recipe("lstm.toml", overrides).model.encoder
    assert encoder == TransformerEncoderOptions(family="transformer", layers=2, heads=4)


def test_the_last_family_wins_and_keeps_the_keys_of_the_file(gated):
    overrides = ["model.encoder.family=transformer", "model.encoder.layers=2", "model.encoder.family=rnn"]
    assert load_recipe("lstm.toml", overrides).model.encoder == RnnEncoderOptions(cell="lstm", hidden_size=24, layers=2)


@pytest.fixture
def parent(small: Path) -> Path:
    """Write `lines.toml` to the current directory, with keys of text files and of all kinds."""
    (small / "lines.toml").write_text(f"{LINES}root = 'texts'\nsource_language = 'de'\nfilter_preset = 'clean'\n")
    return small


TSV = ["data.kind=tsv", "data.train.files=a.tsv", "data.target_column=3"]


def test_another_kind_of_data_keeps_shared_keys_but_not_the_location(parent):
    (parent / "child.toml").write_text(
        "extends = 'lines.toml'\n[data]\nkind = 'tsv'\ntrain.files = 'a.tsv'\ntarget_column = 3\n"
    )
    for data in (load_recipe("child.toml").data, load_recipe("lines.toml", TSV).data):
        assert isinstance(data, TsvDataOptions)
        assert (data.train.files, data.source_column, data.target_column) == (["a.tsv"], 1, 3)
        assert (data.source_language, data.filter_preset, data.hold_out_test) == ("de", "clean", 3)
        assert data.root == str(parent / "texts")


@pytest.mark.parametrize("overrides", list(permutations(TSV)))
def test_overrides_of_a_kind_and_of_its_keys_in_any_order(parent, overrides):
    assert load_recipe("lines.toml", overrides) == load_recipe("lines.toml", TSV)


def test_switching_to_a_generator_drops_the_keys_of_files(parent):
    data = load_recipe("lines.toml", ["data.kind=generator", "data.generator.seed=7"]).data
    assert isinstance(data, GeneratorDataOptions)
    assert (data.source_language, data.generator.seed) == ("de", 7)


def test_switching_the_kind_back_does_not_restore_the_files(parent):
    (parent / "made.toml").write_text("extends = 'lines.toml'\n[data]\nkind = 'generator'\n")
    (parent / "back.toml").write_text("extends = 'made.toml'\n[data]\nkind = 'lines'\n")
    with pytest.raises(UsageError, match="data: train names no data"):
        load_recipe("back.toml")


def test_the_same_kind_keeps_everything(parent):
    assert load_recipe("lines.toml", ["data.kind=lines"]) == load_recipe("lines.toml")


def test_a_single_string_is_a_list_of_one(parent):
    data = load_recipe("lines.toml").data
    assert isinstance(data, LinesDataOptions)
    assert (data.train.source, data.train.target) == (["a"], ["b"])
    assert load_recipe("small.toml", ["training.freeze=encoder.*"]).training.freeze == ["encoder.*"]


def test_a_whole_table_can_be_set(gated):
    override = 'model.encoder={family = "transformer", heads = 2}'
    encoder = load_recipe("lstm.toml", [override]).model.encoder
    assert encoder == TransformerEncoderOptions(family="transformer", heads=2)


def test_recipe_to_keep_keeps_only_a_root_that_is_set(small):
    (small / "lines.toml").write_text(LINES)
    (small / "rooted.toml").write_text("extends = 'lines.toml'\ndata.root = 'texts'\n")
    assert "root" not in recipe_to_keep("lines.toml")["data"]
    assert recipe_to_keep("lines.toml", ["data.root=mine"])["data"]["root"] == str(small / "mine")
    assert recipe_to_keep("rooted.toml")["data"]["root"] == str(small / "texts")
    kept = recipe_to_keep("rooted.toml")
    assert parse_recipe(kept, "kept") == load_recipe("rooted.toml")


def test_the_frozen_recipe_loads_and_newer_keys_have_defaults():
    frozen = json.loads(FROZEN.read_text())
    assert "size" not in frozen["model"]
    recipe = parse_recipe(frozen, "frozen")
    model = recipe.model
    assert model.describe() == "bidirectional GRU encoder; GRU decoder with a fixed context (no attention)"
    assert (
        model.embedding_size,
        model.encoder.hidden_size,
        model.decoder.hidden_size,
        model.decoder.attention_size,
    ) == (
        64,
        48,
        96,
        32,
    )
    assert (model.encoder.layers, model.encoder.bidirectional, model.encoder.reverse_source) == (1, True, False)
    assert (model.decoder.layers, model.output_bias, model.tied_embeddings) == (1, True, "all")
    assert (model.encoder.variational, model.decoder.variational) == (False, False)
    assert merged(recipe.as_dict(), frozen) == recipe.as_dict()


def merged(base: dict, over: dict) -> dict:
    """Merge the values of `over` into `base`, table by table."""
    return base | {
        key: merged(base.get(key, {}), value) if isinstance(value, dict) else value for key, value in over.items()
    }


@pytest.mark.parametrize("result", RESULTS, ids=lambda path: path.stem)
def test_recipes_of_stored_results_describe_the_same_networks(result):
    stored = json.loads(result.read_text())
    stored = stored.get("training", stored)  # where it is since schema 6
    assert parse_recipe(stored["recipe"], result.stem).model.describe() == stored["network"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.subword_regularization=0.2"], "requires a unigram model"),
        (
            ["training.bpe_dropout=0.1", "tokenizer.algorithm=unigram"],
            "requires a bpe model, but tokenizer.algorithm is unigram",
        ),
        (["training.r_drop=1"], "training.r_drop requires model.dropout"),
        (["training.attention_coverage=1", "model.decoder.context=fixed"], "requires a decoder with attention"),
        (["model.encoder.family=transformer", "model.encoder.convolution=4"], "not odd"),
        (["data.augmentation.upper_case=0.6", "data.augmentation.title_case=0.5"], "exceed 1 together"),
        (["data.concatenate=0.1"], "data.concatenate: unknown key; did you mean data.augmentation.merge"),
        (["data.augmentation.RemoveEndPunct=0.1"], "did you mean no_final_punctuation"),
    ],
)
def test_options_that_contradict_each_other(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("numbers/attention", settings)


@pytest.mark.parametrize("key", ["merge", "typos"])
def test_images_are_not_augmented_like_sentences(key: str) -> None:
    with pytest.raises(UsageError, match=r"data\.augmentation changes sentences"):
        load_recipe("scenes/attention", [f"data.augmentation.{key}=0.1"])
    assert load_recipe("scenes/attention", ["data.augmentation.typo_rate=0.1"])
