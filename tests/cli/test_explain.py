import json

import pytest

from s2s.recipe.explain import recipe_keys


def test_everything_is_listed_once(run):
    lines = run("explain").out.splitlines()
    assert [line.split(" = ")[0] for line in lines if " = " in line and not line.startswith(" ")] == [
        one["key"] for one in json.loads(run("explain", "--json").out)
    ]
    listed = [(one["key"], tuple(one["variants"])) for one in json.loads(run("explain", "--json").out)]
    assert listed == [("extends", ()), *((key.key, key.variants) for key in recipe_keys())]
    assert len(listed) == len(set(listed))


def test_a_key_with_its_values_default_and_description(run):
    found = run("explain", "training.lr")
    assert found.code == 0
    assert (
        "training.lr = 0.002   number > 0, ≤ 10\n    peak learning rate of AdamW, reached at the end of warm-up\n"
        in found.out
    )
    assert "training.warmup" not in found.out


def test_a_table_is_all_its_keys(run):
    keys = [one["key"] for one in json.loads(run("explain", "model", "--json").out)]
    assert keys == [key.key for key in recipe_keys() if key.key.startswith("model.")]


def test_a_table_that_has_a_family_is_shown_for_each(run):
    found = run("explain", "model.encoder.layers")
    assert found.out == (
        "model.encoder, family rnn: A recurrent encoder.\n\n"
        "model.encoder.layers = 1   integer ≥ 1, ≤ 128\n    number of layers\n\n"
        "model.encoder, family transformer: A Transformer encoder.\n\n"
        "model.encoder.layers = 6   integer ≥ 1, ≤ 128\n    number of layers\n\n"
    )
    titles = [line for line in run("explain", "model.encoder").out.splitlines() if line.startswith("model.encoder, ")]
    assert len(titles) == 3
    assert (
        "\ndata, kind lines | tsv | csv | jsonl | parquet | tmx | po | images | features | mixed\n\ndata.root"
        in run("explain", "data").out
    )


def test_a_key_of_one_family_names_it(run):
    (found,) = json.loads(run("explain", "model.decoder.context", "--json").out)
    assert (found["selector"], found["variants"]) == ("model.decoder.family", ["rnn"])
    assert "model.decoder, family rnn: A recurrent decoder.\n" in run("explain", "model.decoder.context").out
    selectors = {one["selector"] for one in json.loads(run("explain", "training", "--json").out)}
    assert selectors == {""}


def test_the_last_part_of_a_name_is_enough(run):
    keys = [one["key"] for one in json.loads(run("explain", "max", "--json").out)]
    assert keys == ["data.filters.max"] * 3


def test_lines_are_wrapped_without_trailing_spaces(run):
    lines = run("explain").out.splitlines()
    assert [line for line in lines if line.startswith(" ") and len(line) > 80] == []
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("training.lrr", "training.lr"),
        ("trainin", "training"),
        ("warmpu", "warmup"),
        ("learning_rate", "training.lr"),
        ("xyzzy", "s2s explain"),
    ],
)
def test_an_unknown_key_names_the_nearest(run, key, near):
    found = run("explain", key)
    assert found.code == 2
    assert f"{key}: unknown key" in found.err.splitlines()[0]
    assert near in found.err.splitlines()[1]
