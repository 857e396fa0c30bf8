"""What a comparison says of made-up results."""

from collections.abc import Sequence
from typing import Any

import pytest

from s2s.comparison import test_set
from s2s.comparison.breakdowns import breakdowns
from s2s.comparison.measured import SystemResults
from s2s.comparison.notes import notes
from s2s.comparison.stored import StoredResult, StoredTraining
from s2s.comparison.summary import summarize
from s2s.devices.runtime import Machine
from s2s.metrics.scores import Scoring, score_corpus
from s2s.metrics.training_facts import TrainingFacts
from s2s.recipe.load import load_recipe

REFERENCES = [f"the {word} house has a red door" for word in ("old", "new", "big", "small", "green", "blue", "last")]
WRONG = [f"the {word} door" for word in ("a", "b", "c", "d", "e", "f", "g")]
TEST = test_set.TestSet(REFERENCES, REFERENCES, [*REFERENCES], "", Scoring(), "bleu")


def training(settings: Sequence[str], corpus: str) -> StoredTraining:
    recipe: dict[str, Any] = load_recipe("numbers/attention", settings).as_dict()
    machine = Machine("Linux", "x86_64", [], 1)
    return StoredTraining("", recipe, 1, corpus, "", 5, 5, 5, 5.0, {}, machine)


def system(name: str, *seeds: Sequence[str], trained: StoredTraining | None = None) -> SystemResults:
    runs = [
        StoredResult(name, "", list(outputs), score_corpus(outputs, REFERENCES), "", training=trained)
        for outputs in seeds
    ]
    return SystemResults(name, "", runs, TEST)


def test_systems_that_differ_significantly_are_in_different_groups() -> None:
    comparison = summarize([system("bad", WRONG), system("good", REFERENCES), system("same", REFERENCES)], TEST, [])
    assert [one.group for one in comparison.systems] == [2, 1, 1]


def test_words_by_frequency_are_means_over_the_seeds() -> None:
    facts = TrainingFacts.of([("x", "the door")], REFERENCES, REFERENCES, str.split)
    found = breakdowns([system("x", REFERENCES, [""] * len(REFERENCES)), system("y", REFERENCES)], TEST, facts)
    assert found[-1].by == "frequency in training"
    assert [bucket.values for bucket in found[-1].buckets] == [(50.0, 100.0)] * 2


@pytest.mark.parametrize(
    ("settings", "corpus", "expected"),
    [
        ([], "c" * 64, ["all were trained on the same corpus (cccccccccccc)", "the recipes are the same"]),
        (
            ["tokenizer.vocab_size=77"],
            "d" * 64,
            [
                "all were trained on the same data, tokenized differently",
                "the recipes differ in tokenizer.vocab_size: ",
            ],
        ),
        (["data.generator.train=77"], "d" * 64, ["they were trained on different data", "the recipes differ in data."]),
    ],
    ids=["same", "tokenizer", "data"],
)
def test_notes_say_how_trainings_differ(settings: list[str], corpus: str, expected: list[str]) -> None:
    first = system("a", REFERENCES, trained=training([], "c" * 64))
    second = system("b", REFERENCES, trained=training(settings, corpus))
    *_, data, recipes = notes([first, second], TEST)
    assert data == expected[0]
    assert recipes.startswith(expected[1])
