"""Comparisons: of recipes, models and results, on one test set."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s2s.comparison import compare as module
from s2s.comparison import test_set
from s2s.comparison.compare import compare
from s2s.comparison.entries import expand_patterns, variants
from s2s.comparison.results import write_results
from s2s.comparison.stored import StoredResult
from s2s.errors import ArtefactError, DataError, UsageError
from s2s.metrics.scores import Scoring
from s2s.recipe.load import builtin_directory, load_recipe, parse_recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.registry.store import Registry
from s2s.report.figures import Comparison, table
from s2s.training.runs.lifecycle import train

QUIET = {"device": "cpu", "wait": 0}


def run(names: Sequence[str], overrides: Sequence[str] = (), **more: Any) -> tuple[Comparison, list[StoredResult]]:
    return compare(names, overrides, **QUIET, **more)


def test_patterns_name_recipes_once() -> None:
    found = ["numbers/bottleneck", "numbers/bottleneck-reversed", "mine"]
    assert expand_patterns(["numbers/b*", "numbers/bottleneck", "mine"]) == found
    with pytest.raises(UsageError, match="no recipe matches"):
        expand_patterns(["nothing/*"])


def test_systems_that_a_pattern_names_are_in_the_order_of_their_bleu(trained_home: Path, tiny: list[str]) -> None:
    comparison, results = run(["numbers/attention*", "numbers/bottleneck"], tiny)
    found = [system.scores["bleu"].value for system in comparison.systems]
    assert found == sorted(found)
    assert [stored.name for stored in results] == [system.name for system in comparison.systems]
    as_asked, _ = run(["numbers/attention", "numbers/bottleneck"], tiny)
    assert [system.name for system in as_asked.systems] == ["numbers-attention", "numbers-bottleneck"]


def test_recipes_and_models_give_the_same_figures(trained_home: Path, tiny: list[str]) -> None:
    of_recipes, results = run(["numbers/bottleneck", "numbers/attention"], tiny)
    of_models, _ = run(["numbers-bottleneck:1", "numbers-attention"])
    assert [system.command for system in of_models.systems] == [
        "s2s compare numbers-bottleneck:1",
        "s2s compare numbers-attention",
    ]
    first, second = of_recipes.systems
    assert second.command.startswith("s2s compare numbers/attention --set ")
    assert second.code.startswith("s2s 0.")
    assert second.machine.endswith(", 1 thread")
    same = [
        replace(system, command=recipe.command)
        for system, recipe in zip(of_models.systems, of_recipes.systems, strict=True)
    ]
    assert replace(of_models, systems=same) == of_recipes
    first, second = of_recipes.systems
    assert first.difference is None
    assert second.difference is not None
    gain = second.scores["bleu"].value - first.scores["bleu"].value
    assert second.difference.difference == pytest.approx(gain)
    assert sum(bucket.count for bucket in of_recipes.by_length[0].buckets) == 30
    assert "30 pairs, none of them in training" in of_recipes.task
    assert "model.decoder.context: fixed | attention" in " ".join(of_recipes.notes)
    assert "a test set of fewer than 100 lines says little" in of_recipes.notes[0]
    assert [stored.name for stored in results] == ["numbers-bottleneck", "numbers-attention"]
    first, *others = of_recipes.examples
    assert [heatmap is None for heatmap in first.heatmaps] == [True, False]
    assert {example.title for example in others} <= {
        "the longest source", "the largest difference in chrF2", "the lowest chrF2 of numbers-attention",
        "the lowest chrF2 of numbers-bottleneck",
    }  # fmt: skip


def test_cells_stand_for_their_systems(trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison, results = run(["numbers-bottleneck", "numbers-attention"])
    table, *files = write_results(tmp_path / "RESULTS.md", comparison, results)
    assert "numbers-attention" in table.read_text()
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "results/numbers-bottleneck.json",
        "results/numbers-attention.json",
    ]
    assert StoredResult.read(files[0]) == results[0]
    monkeypatch.setattr(module, "evaluate", lambda *_, **__: pytest.fail("translated again"))
    again, _ = run([str(file) for file in files])
    assert again.systems == comparison.systems
    assert again.by_length == comparison.by_length


def test_cells_of_another_test_set_are_refused(trained_home: Path, tmp_path: Path) -> None:
    comparison, results = run(["numbers-bottleneck"])
    _, file = write_results(tmp_path / "RESULTS.md", comparison, results)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"test": "0" * 64}))
    with pytest.raises(DataError, match="different test sets"):
        run(["numbers-attention", str(file)])


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "not a stored"), ('{"schema": 5}', "name: field required"), ('{"schema": 99}', "newer"), ("{", "not JSON")],
)
def test_what_is_no_cell_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "stored.json"
    file.write_text(content)
    with pytest.raises(ArtefactError, match=message):
        StoredResult.read(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {}}, "scores: no bleu, chrf, exact, ter"),
        ({"correct_values": [1]}, "correct_values: not one for each output"),
        ({"outputs": ["a"]}, r"1 outputs of numbers-\w+.* for 1,000 references"),
    ],
)
def test_damaged_results_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    shipped = next((builtin_directory() / "numbers" / "results").glob("*.json"))
    file = tmp_path / "stored.json"
    file.write_text(json.dumps(json.loads(shipped.read_text()) | change))
    with pytest.raises((ArtefactError, DataError), match=message):
        run([str(file)])


def test_variants_have_names_of_their_own() -> None:
    assert variants("mine", ["a=1"], []) == [["a=1"]]
    assert variants("mine", ["a=1"], ["model.decoder.context=fixed,attention", "training.lr=1e-3"]) == [
        ["a=1", "model.decoder.context=fixed", "training.lr=1e-3", 'name="mine-fixed-1e-3"'],
        ["a=1", "model.decoder.context=attention", "training.lr=1e-3", 'name="mine-attention-1e-3"'],
    ]
    lists = variants("mine", [], ["""data.train.source=["a,b"],['c', "d"]"""])
    assert lists[0] == ['data.train.source=["a,b"]', 'name="mine-a-b"']
    assert lists[1][0] == """data.train.source=['c', "d"]"""
    first, second = (found[1] for found in variants("m" * 60, [], ["training.lr=0.001,0.002"]))
    assert first != second
    assert len(first) == len(second) == len('name=""') + 64
    for text, message in [
        ("lr", "expected KEY=VALUE,VALUE"), ("lr=", "expected KEY=VALUE,VALUE"), ("=1,2", "expected KEY=VALUE,VALUE"),
        ("name=a,b", "named after their values"), ("lr=1,1", "two variants of mine are called mine-1"),
        ("a=x+y,x-y", "two variants"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=message):
            variants("mine", [], [text])


def test_a_recipe_is_varied(trained_home: Path, tiny: list[str]) -> None:
    comparison, _ = run(["numbers/attention"], tiny, vary=["model.decoder.context=fixed,attention"])
    assert [system.name for system in comparison.systems] == ["numbers-attention-fixed", "numbers-attention-attention"]
    assert "model.decoder.context: fixed | attention" in " ".join(comparison.notes)


def test_versions_of_a_model_are_told_apart(trained_home: Path, tmp_path: Path) -> None:
    version = Registry.default().resolve("numbers-attention")
    files = {name: version.path(name) for name in version.files}
    Registry.default().publish("numbers-attention", files, version.card)
    comparison, results = run(["numbers-attention:1", "numbers-attention:2"])
    assert [system.name for system in comparison.systems] == ["numbers-attention:1", "numbers-attention:2"]
    _, *written = write_results(tmp_path / "RESULTS.md", comparison, results)
    assert [file.name for file in written] == ["numbers-attention-1.json", "numbers-attention-2.json"]


def test_a_system_is_named_once(trained_home: Path, tiny: list[str], tmp_path: Path) -> None:
    for names in (["numbers-attention", "numbers-attention:1"], ["numbers/attention", "numbers-attention"]):
        with pytest.raises(UsageError, match="two systems are called numbers-attention:1"):
            run(names, tiny)
    _, file = write_results(tmp_path / "RESULTS.md", *run(["numbers-attention"]))
    (tmp_path / "copy.json").write_bytes(file.read_bytes())
    with pytest.raises(UsageError, match="two systems are called numbers-attention"):
        run([str(file), str(tmp_path / "copy.json")])
    _, results = run([str(file), "numbers-attention"])
    assert [stored.name for stored in results] == ["numbers-attention", "numbers-attention:1"]


def test_tokenizers_are_varied(trained_home: Path, tiny: list[str]) -> None:
    comparison, _ = run(["numbers/bottleneck"], tiny, vary=["tokenizer.vocab_size=130,140"])
    assert "none of them in training" in comparison.task
    assert {row.label for row in table(comparison)} & {"perplexity", "bits per byte"} == {"bits per byte"}


def test_short_references_are_compared_by_chrf(trained_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("drei\nvier\n12. Mai 1999\n")
    (tmp_path / "a.en").write_text("three\nfour\nMay 12, 1999\n")
    test = f"short={tmp_path / 'a.de'}:{tmp_path / 'a.en'}"
    comparison, results = run(["numbers-attention", "numbers-bottleneck"], test_files=test)
    assert comparison.notes[0].endswith("chrF2 is the score to go by")
    assert comparison.by_length[0].metric == "chrF2"
    first, second = (stored.scores["chrf"].value for stored in results)
    difference = comparison.systems[1].difference
    assert difference is not None
    assert difference.difference == pytest.approx(second - first)
    assert difference.signature.startswith("chrF2|")
    assert [row.label for row in table(comparison) if any(cell.note for cell in row.cells)] == ["chrF2"]
    best = max(results, key=lambda stored: stored.scores["chrf"].value).name
    assert comparison.commands[1] == f"s2s models show {best}"


def test_a_fine_tuned_model_comes_first(trained_home: Path, tiny: list[str]) -> None:
    recipe = load_recipe("numbers/attention", [*tiny, "name=tuned", "data.generator.seed=7"])
    own = recipe.model_copy(update={"tokenizer": TokenizerOptions(), "data": recipe.data})
    values = own.as_dict()
    del values["tokenizer"], values["model"]
    tuned = train(parse_recipe(values, "tuned"), parent=Registry.default().resolve("numbers-attention"), **QUIET)
    comparison, _ = run([tuned.reference, "numbers-bottleneck"])
    assert "overlap with the training of tuned, numbers-bottleneck not checked" in comparison.task


def test_own_test_files(trained_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("drei\nvier\n")
    (tmp_path / "a.en").write_text("three\nfour\n")
    comparison, _ = run(
        ["numbers-attention", "numbers-bottleneck"], test_files=f"mine={tmp_path / 'a.de'}:{tmp_path / 'a.en'}"
    )
    assert comparison.task == "mine · 2 pairs, overlap with training not checked"
    for text in ("mine", "mine=a.de", "=a:b"):
        with pytest.raises(UsageError, match="expected NAME=SOURCE:REFERENCE"):
            run(["numbers-attention"], test_files=text)


def test_overrides_leave_models_alone(trained_home: Path, tiny: list[str], caplog: pytest.LogCaptureFixture) -> None:
    run(["numbers-bottleneck", "numbers/attention"], tiny)
    assert "applies to recipes only, not to numbers-bottleneck" in caplog.text


def test_what_cannot_be_compared_is_refused(trained_home: Path, tiny: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--set training\.lr=1 applies to recipes"):
        run(["numbers-attention"], ["training.lr=1"])
    with pytest.raises(UsageError, match=r"--vary training\.lr=1,2 applies to recipes"):
        run(["numbers-attention"], vary=["training.lr=1,2"])
    version = Registry.default().resolve("numbers-attention")
    data = version.card.recipe["data"] | {"source_language": "fr"}
    card = version.card.model_copy(update={"recipe": version.card.recipe | {"data": data, "name": "french"}})
    Registry.default().publish("french", {name: version.path(name) for name in version.files}, card)
    with pytest.raises(UsageError, match=r"different languages: numbers-bottleneck \(de → en\), french \(fr → en\)"):
        run(["numbers-bottleneck", "french"])


def test_perplexity_needs_one_vocabulary(trained_home: Path, tiny: list[str]) -> None:
    _, (attention, bottleneck) = run(["numbers-attention", "numbers-bottleneck"])
    other = replace(bottleneck, tokenizer="0" * 64)
    test = test_set.TestSet(["a"] * 30, ["a"] * 30, ["b"] * 30, "", Scoring(), "bleu")
    results = [replace(stored, test=test.digest) for stored in (attention, bottleneck)]
    shown = [module.compare_results([results[0], stored], test, []) for stored in
             (results[1], replace(other, test=test.digest))]  # fmt: skip
    labels = [[row.label for row in table(comparison)] for comparison in shown]
    assert ["perplexity" in found for found in labels] == [True, False]
    assert all("bits per byte" in found for found in labels)
