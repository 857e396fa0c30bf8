"""Answers of recall, counted by hand."""

import base64
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from s2s.comparison import recall_demo, test_set
from s2s.comparison.breakdowns import recall_by_length
from s2s.comparison.compare import compare
from s2s.comparison.entries import Request
from s2s.comparison.measured import SystemResults
from s2s.comparison.recall_demo import runs_in_page
from s2s.comparison.results import as_json
from s2s.comparison.stored import StoredResult
from s2s.metrics.scores import Scoring
from s2s.recipe.load import load_recipe

TINY = [
    "data.generator.train=600",
    "data.generator.validation=10",
    "data.generator.test=10",
    "data.generator.max_items=40",
    "training.stop_after=3 updates",
    "training.batch_tokens=300",
]


def system(test: test_set.TestSet, outputs: Sequence[str], right: Sequence[int]) -> SystemResults:
    stored = StoredResult(
        name="x", test="", outputs=list(outputs), scores={}, command="", correct_values=list(right)
    )  # fmt: skip
    return SystemResults("x", "", [stored], test)


def test_shares_are_those_counted_by_hand() -> None:
    sources = ["k1 v1 k2 v2 ? k2 k1", "k3 v3 ? k3", "k4 v4 k5 v5 ? k4 k5"]
    references = ["k2 v2 k1 v1", "k3 v3", "k4 v4 k5 v5"]
    test = test_set.TestSet(sources, sources, [*references], "", Scoring(), "bleu", task="recall")
    good = system(test, references, [2, 1, 2])
    bad = system(test, ["k2 v2 k1 v9", "k3 v3", "k4 v8 k5 v5"], [1, 1, 0])
    values, answers = recall_by_length([good, bad], test)
    assert [(bucket.label, bucket.count, bucket.values) for bucket in values.buckets] == [
        ("4", 1, (100.0, 100.0)),
        ("7", 2, (100.0, 25.0)),
    ]
    assert [bucket.values for bucket in answers.buckets] == [(100.0, 100.0), (100.0, 0.0)]
    assert values.axis == "source length in tokens"


def test_a_comparison_of_recall_shows_answers_instead_of_bleu_by_length() -> None:
    [compared] = compare(Request(["recall/attention", "recall/bottleneck"], TINY), device="cpu", wait=0)
    comparison = compared.comparison
    assert [figure.metric for figure in comparison.breakdowns] == [
        "% of values correct, given their keys",
        "% of answers completely correct",
    ]
    assert [bucket.label for bucket in comparison.breakdowns[0].buckets] == ["10", "29", "99", "299", "999"]
    assert all(len(system.first.correct_values) == 10 for system in compared.systems)
    assert all(0 <= value <= 100 for bucket in comparison.breakdowns[0].buckets for value in bucket.values)
    demo = comparison.demo
    assert demo is not None
    assert [model.name for model in demo.models] == ["recall-attention", "recall-bottleneck"]
    sizes = [len(base64.b64decode(model.weights)) for model in demo.models]
    assert sizes == [2 * (system.parameters or 0) for system in comparison.systems]
    assert {"?", "k1", "v1"} < {*demo.vocabulary}
    assert "demo" not in as_json(comparison)


def test_large_models_and_those_of_another_tokenizer_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizers = {digest: SimpleNamespace(digest=digest, size=1, tokens=lambda _: ["▁k1"]) for digest in "ab"}
    monkeypatch.setattr(recall_demo, "_tokenizer", lambda run: tokenizers[run.version.tokenizer])
    monkeypatch.setattr(recall_demo, "_exported", lambda name, run: name)

    def entry(name: str, parameters: int, tokenizer: str) -> SimpleNamespace:
        card = SimpleNamespace(parameters=parameters)
        recipe = load_recipe("recall/attention")
        version = SimpleNamespace(card=card, tokenizer=tokenizer, recipe=lambda: recipe)
        return SimpleNamespace(name=name, runs=[SimpleNamespace(version=version)])

    test = test_set.TestSet(["k1"], ["k1"], ["v1"], "", Scoring(), "bleu", task="recall")
    entries: list[Any] = [entry("large", 500_001, "b"), entry("first", 500_000, "a"), entry("other", 7, "b")]
    demo = recall_demo.recall_demo([*entries, entry("second", 7, "a")], test)
    assert demo is not None
    assert demo.models == ["first", "second"]
    assert recall_demo.recall_demo(entries[:1], test) is None


@pytest.mark.parametrize(
    ("name", "settings", "runs"),
    [
        ("recall/bottleneck", [], True),
        ("recall/attention", [], True),
        ("recall/transformer", [], False),
        ("recall/attention", ["model.decoder.query=previous"], False),
        ("recall/attention", ["model.decoder.score=additive"], False),
        ("recall/bottleneck", ["model.decoder.context=initial"], False),
        ("recall/bottleneck", ["model.decoder.layers=2"], False),
        ("recall/bottleneck", ["model.encoder.layers=2"], False),
        ("recall/bottleneck", ["model.encoder.cell=lstm"], False),
        ("recall/bottleneck", ["model.encoder.bidirectional=false"], False),
        ("recall/bottleneck", ["model.tied_embeddings=target"], False),
        ("recall/bottleneck", ["model.output_bias=false"], False),
    ],
)
def test_page_runs_networks_that_its_script_computes(name: str, settings: list[str], runs: bool) -> None:
    assert runs_in_page(load_recipe(name, settings)) is runs
