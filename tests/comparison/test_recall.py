"""Answers of recall, counted by hand."""

from collections.abc import Sequence

from s2s.comparison.compare import compare
from s2s.comparison.recall import recall_by_length
from s2s.comparison.stored import StoredResult
from s2s.devices.runtime import Machine

TINY = [
    "data.generator.train=600",
    "data.generator.validation=10",
    "data.generator.test=10",
    "data.generator.max_items=40",
    "training.stop_after=3 updates",
    "training.batch_tokens=300",
]


def stored(outputs: Sequence[str], right: Sequence[int]) -> StoredResult:
    return StoredResult(
        name="x", network="", recipe={}, recipe_digest="", tokenizer="", parameters=1, updates=1, seconds=1.0,
        tokens_per_second=1.0,
        decoding="", test="", outputs=list(outputs), scores={}, perplexity=1.0, versions={}, command="",
        machine=Machine("Linux", "x86_64", [], 1),
        correct_values=list(right),
    )  # fmt: skip


def test_shares_are_those_counted_by_hand() -> None:
    sources = ["k1 v1 k2 v2 ? k2 k1", "k3 v3 ? k3", "k4 v4 k5 v5 ? k4 k5"]
    references = ["k2 v2 k1 v1", "k3 v3", "k4 v4 k5 v5"]
    good = stored(references, [2, 1, 2])
    bad = stored(["k2 v2 k1 v9", "k3 v3", "k4 v8 k5 v5"], [1, 1, 0])
    values, answers = recall_by_length(sources, references, [good, bad])
    assert [(bucket.label, bucket.count, bucket.values) for bucket in values.buckets] == [
        ("4", 1, (100.0, 100.0)),
        ("7", 2, (100.0, 25.0)),
    ]
    assert [bucket.values for bucket in answers.buckets] == [(100.0, 100.0), (100.0, 0.0)]
    assert values.unit == "tokens"


def test_a_comparison_of_recall_shows_answers_instead_of_bleu_by_length() -> None:
    comparison, results = compare(
        ["recall/attention", "recall/bottleneck"],
        TINY,
        device="cpu",
        wait=0,
    )
    assert [figure.metric for figure in comparison.by_length] == [
        "% of values correct, given their keys",
        "% of answers completely correct",
    ]
    assert [bucket.label for bucket in comparison.by_length[0].buckets] == ["10", "29", "99", "299", "999"]
    assert all(len(stored.correct_values) == 10 for stored in results)
    assert all(0 <= value <= 100 for bucket in comparison.by_length[0].buckets for value in bucket.values)
