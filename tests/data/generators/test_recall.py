"""Recall: its questions have exact answers, and splits share nothing."""

from collections import Counter
from itertools import pairwise

import pytest

from s2s.data.generators import recall
from s2s.data.generators.recall import (
    KEYS,
    QUERIES,
    SEPARATOR,
    TEST_TOKENS,
    VALUES,
    answer_positions,
    items_of,
    recall_pairs,
)
from s2s.errors import UsageError
from s2s.recipe.kinds import GeneratorOptions
from s2s.recipe.load import parse_recipe

OPTIONS = GeneratorOptions(name="recall", seed=3, train=2000, validation=50, test=25, min_items=3, max_items=497)
PAIRS = recall_pairs(OPTIONS)


def everything() -> list[tuple[str, str]]:
    return [pair for split in PAIRS.values() for pair in split]


def test_every_answer_is_in_its_source() -> None:
    for source, target in everything():
        listed, asked = (part.split() for part in source.split(f" {SEPARATOR} "))
        values = dict(zip(listed[::2], listed[1::2], strict=True))
        assert len(values) == len(listed) // 2
        assert len(asked) == len(set(asked)) == min(QUERIES, len(values))
        assert target.split() == [word for key in asked for word in (key, values[key])]
        assert [target.split()[position] for position in answer_positions(target)] == [values[key] for key in asked]


def test_symbols_are_those_of_the_task() -> None:
    words = {word for source, _ in everything() for word in source.split()}
    assert words == {SEPARATOR} | {f"k{key}" for key in range(KEYS)} | {f"v{value}" for value in range(VALUES)}


def test_no_source_twice() -> None:
    sources = [source for source, _ in everything()]
    assert len(set(sources)) == len(sources) == 2075


def test_the_test_has_as_many_sentences_of_each_length() -> None:
    assert Counter(len(source.split()) for source, _ in PAIRS["test"]) == {10: 5, 29: 5, 99: 5, 299: 5, 999: 5}


@pytest.mark.parametrize("tokens", TEST_TOKENS)
def test_one_pair_more_would_be_too_long(tokens: int) -> None:
    def length(items: int) -> int:
        return 2 * items + 1 + min(QUERIES, items)

    assert length(items_of(tokens)) <= tokens < length(items_of(tokens) + 1)


def test_long_sources_are_rarer_than_short_ones_and_still_come() -> None:
    items = [(len(source.split()) - 1 - QUERIES) // 2 for source, _ in PAIRS["train"]]
    halves = [sum(low <= n < 2 * low for n in items) for low in (10, 20, 40, 80)]
    assert max(items) > 200
    for more, fewer in pairwise(halves):
        assert 1.4 < more / fewer < 3  # half as many, twice as long


def test_the_seed_decides() -> None:
    assert recall_pairs(OPTIONS) == PAIRS
    assert recall_pairs(OPTIONS.model_copy(update={"seed": 4}))["test"] != PAIRS["test"]


def test_too_many_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "KEYS", 7)
    monkeypatch.setattr(recall, "VALUES", 3)  # 21 sources of one pair
    options = GeneratorOptions(name="recall", train=22, validation=1, test=1, min_items=1, max_items=1)
    with pytest.raises(UsageError, match=r"not enough different sources of 1 key–value pair$"):
        recall_pairs(options)


def test_more_keys_than_there_are_cannot_be_asked_for() -> None:
    generator = {"name": "recall", "max_items": 501}
    with pytest.raises(UsageError, match="500 keys"):
        parse_recipe({"name": "x", "data": {"kind": "generator", "generator": generator}}, "recipe x")
