import json

import pytest

from s2s.recipe.loading import all_keys


def test_everything_is_listed_once(run):
    lines = run("explain").out.splitlines()
    assert [line.split(" = ")[0] for line in lines if " = " in line and not line.startswith(" ")] == [
        one["key"] for one in json.loads(run("explain", "--json").out)
    ]
    assert {one["key"] for one in json.loads(run("explain", "--json").out)} == set(all_keys())


def test_a_key_with_its_values_default_and_description(run):
    found = run("explain", "training.lr")
    assert found.code == 0
    assert "training.lr = 0.002   number > 0, ≤ 10\n    peak learning rate of AdamW\n" in found.out
    assert "training.warmup" not in found.out


def test_a_table_is_all_its_keys(run):
    keys = {one["key"] for one in json.loads(run("explain", "model", "--json").out)}
    assert keys == {key for key in all_keys() if key.startswith("model.")}


def test_the_last_name_is_enough(run):
    keys = [one["key"] for one in json.loads(run("explain", "max_ratio", "--json").out)]
    assert keys == ["data.max_ratio", "decoding.max_ratio"]


def test_lines_are_broken_for_reading_and_end_without_spaces(run):
    lines = run("explain").out.splitlines()
    assert [line for line in lines if line.startswith(" ") and len(line) > 80] == []
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(
    ("key", "near"),
    [("training.lrr", "training.lr"), ("trainin", "training"), ("warmpu", "warmup"), ("xyzzy", "s2s explain")],
)
def test_an_unknown_key_names_the_nearest(run, key, near):
    found = run("explain", key)
    assert found.code == 2
    assert f"{key}: no such key" in found.err.splitlines()[0]
    assert near in found.err.splitlines()[1]
