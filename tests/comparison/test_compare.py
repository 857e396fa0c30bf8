"""Comparisons: of recipes, models and results, on one test set."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from s2s.comparison import compare as module
from s2s.comparison.compare import compare, expand_patterns
from s2s.comparison.results import write_results
from s2s.comparison.stored import StoredResult
from s2s.errors import ArtefactError, DataError, UsageError
from s2s.report.figures import Comparison

QUIET = {"device": "cpu", "wait": False}


def run(names: Sequence[str], overrides: Sequence[str] = ()) -> tuple[Comparison, list[StoredResult]]:
    return compare(names, overrides, **QUIET)


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
    assert [stored.name for stored in results] == ["numbers-bottleneck", "numbers-attention"]
    first, *others = of_recipes.examples
    assert [heatmap is None for heatmap in first.heatmaps] == [True, False]
    assert {example.title for example in others} <= {
        "the longest source", "the largest difference in chrF", "the lowest chrF of numbers-attention",
        "the lowest chrF of numbers-bottleneck",
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
    [("[]", "not a stored"), ('{"schema": 3}', "name: field required"), ('{"schema": 99}', "newer"), ("{", "not JSON")],
)
def test_what_is_no_cell_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "stored.json"
    file.write_text(content)
    with pytest.raises(ArtefactError, match=message):
        StoredResult.read(file)
