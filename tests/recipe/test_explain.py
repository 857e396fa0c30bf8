from collections.abc import Iterator

import pytest

from s2s.errors import UsageError
from s2s.recipe.data import KINDS
from s2s.recipe.explain import keys_named, recipe_keys, section_titles
from s2s.recipe.recipe import Recipe

FIRST = {key.key: key for key in reversed(recipe_keys())}  # of a key of several variants the first
FILES = {"train": {"files": "a"}, "hold_out_validation": 1, "hold_out_test": 1}
DATA = {
    "lines": FILES | {"train": {"source": "a", "target": "b"}},
    "tmx": FILES | {"source_language": "de", "target_language": "en"},
    "features": FILES | {"height": 2, "width": 3, "channels": 4},
    "hub": FILES | {"train": {"hub_split": "a"}, "hub": "b"},
    "generator": {},
    "mixed": {"datasets": [{"name": "a", "kind": "generator"}], "stages": [{}]},
}
LISTS = {"data.filters", "data.datasets", "data.stages"}  # lists of tables, which may be empty
FAMILIES = ("rnn", "transformer")


def leaves(values: dict, table: str = "") -> Iterator[str]:
    """Yield the full names of the keys in nested tables: `training.lr`."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{table}{key}.")
        else:
            yield table + key


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_listed_for_each_kind_and_family(kind, family):
    encoder = "cnn" if kind in ("images", "features") else family
    model = {"encoder": {"family": encoder}, "decoder": {"family": family}}
    if kind == "features":
        model["encoder"] |= {"input_channels": 4, "channels": [], "blocks": []}
    recipe = Recipe.model_validate({"name": "any", "data": {"kind": kind, **DATA.get(kind, FILES)}, "model": model})
    chosen = {"data.kind": kind, "model.encoder.family": encoder, "model.decoder.family": family}
    keys = [key for key in recipe_keys() if not key.key.startswith(tuple(f"{name}." for name in LISTS))]
    listed = [key.key for key in keys if not key.variants or chosen[key.selector] in key.variants]
    found = {*leaves(recipe.model_dump(by_alias=True))}
    assert sorted([*listed, *(LISTS & found)]) == sorted(found)


def test_every_key_is_described():
    assert [key.key for key in recipe_keys() if len(key.description) < 5] == []


def test_keys_that_depend_on_a_kind_or_family():
    assert {key.selector for key in recipe_keys()} == {
        "",
        "data.kind",
        "data.filters.name",
        "data.datasets.kind",
        "model.encoder.family",
        "model.decoder.family",
    }
    assert [key.variants for key in keys_named("model.encoder.layers")] == [(family,) for family in FAMILIES]
    assert [key.variants for key in keys_named("data.train.files")] == [
        ("tsv", "csv", "jsonl", "parquet", "tmx", "po"),
        ("images", "features"),
    ]
    assert [key.variants for key in keys_named("data.filter_preset")] == [()]
    assert [key.variants for key in keys_named("data.filters.max")] == [("length",), ("ratio",), ("repetition",)]
    assert [key.default for key in keys_named("model.encoder.layers")] == [1, 6]
    assert [(key.key, key.variants) for key in keys_named("heads")] == [
        ("model.encoder.heads", ("transformer",)),
        ("model.decoder.heads", ("transformer",)),
    ]


@pytest.mark.parametrize(
    ("key", "values", "default"),
    [
        ("training.lr", "number > 0, ≤ 10", 2e-3),
        ("training.warmup", "integer ≥ 0", 100),
        ("training.lr_schedule", "linear | cosine | inverse_sqrt | plateau | none", "linear"),
        ("training.betas", "list of 2: number ≥ 0, < 1", [0.9, 0.98]),
        ("data.train.source", "text | list of text", []),
        ("training.image_flip", "true or false", False),
        ("model.decoder.attention_size", "integer ≥ 1, ≤ 16384", None),
        ("data.hub_config", "text", ""),
        ("data.source_column", "integer ≥ 1 | text", 1),
        ("model.size", "tiny | small | base | big", None),
        ("model.encoder.family", "rnn | transformer | cnn", "rnn"),
        (
            "data.kind",
            "lines | tsv | csv | jsonl | parquet | tmx | po | images | features | hub | generator | mixed",
            "lines",
        ),
        ("model.encoder.heads", "integer ≥ 1, ≤ 1024", 8),
        ("data.datasets.kind", "lines | tsv | csv | jsonl | parquet | tmx | po | hub | generator", "lines"),
        ("data.stages.weights", "table of number ≥ 0, ≤ 1000000", {}),
    ],
)
def test_values_and_defaults(key, values, default):
    assert (FIRST[key].values, FIRST[key].default) == (values, default)


def test_a_pattern_is_shown():
    assert FIRST["training.validate_every"].values == "N updates | N epochs"


def test_only_names_and_the_size_of_features_are_required():
    assert [key.key for key in recipe_keys() if key.required] == [
        "name", "data.filters.name", "data.height", "data.width", "data.channels", "data.hub", "data.datasets.name",
        "data.datasets.hub",
    ]  # fmt: skip


def test_the_keys_of_a_section_are_contiguous():
    sections = [key.section for key in recipe_keys()]
    changes = [section for section, before in zip(sections, [None, *sections], strict=False) if section != before]
    assert len(changes) == len(set(changes))


def test_every_section_has_a_title():
    titles = section_titles()
    assert {key.section for key in recipe_keys()} <= set(titles)
    assert [section for section, title in titles.items() if not title] == [
        "data, kind lines | tsv | csv | jsonl | parquet | tmx | po | images | features | hub | mixed",
        "data, kind lines | tsv | csv | jsonl | parquet | tmx | po | images | features | mixed",
        "data.filters, name length | ratio",
        "data, kind tsv | csv",
        "data, kind jsonl | parquet | hub",
        "data, kind images | features",
        "data.datasets, kind tsv | csv",
        "data.datasets, kind jsonl | parquet | hub",
    ]
    assert titles["data"].startswith("The sentence pairs")
    assert titles["model.encoder, family rnn"] == "A recurrent encoder."
    assert titles["model.decoder, family transformer"] == "A Transformer decoder."


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("training.lr", 1),
        ("decoding", 14),
        ("max_ratio", 1),
        ("model.decoder", 1 + 8 + 12),
        ("layers", 4),
        ("extends", 1),
    ],
)
def test_keys_by_name_by_table_and_by_last_name(name, count):
    assert len(keys_named(name)) == count


def test_descriptions_are_searched_for_a_word_that_is_no_key():
    assert [key.key for key in keys_named("bottleneck")] == ["model.decoder.context"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("training.lrs", "training.lr"),
        ("bem_size", "beam_size"),
        ("modle", "model"),
        ("num_beams", "decoding.beam_size"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, near):
    with pytest.raises(UsageError) as caught:
        keys_named(name)
    assert near in str(caught.value.hint)
