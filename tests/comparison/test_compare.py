"""Comparisons: of recipes, models and results, on one test set."""

import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s2s.comparison import compare as module
from s2s.comparison import measured, test_set
from s2s.comparison.compare import Compared, compare
from s2s.comparison.entries import Request
from s2s.comparison.measured import SystemResults
from s2s.comparison.results import as_json, check_results_directory, write_results
from s2s.comparison.stored import StoredResult
from s2s.comparison.summary import summarize
from s2s.comparison.variants import expand_patterns, variants
from s2s.errors import ArtefactError, DataError, ResourceError, UsageError
from s2s.metrics.scores import Scoring
from s2s.recipe.load import load_recipe, parse_recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.registry.store import Registry
from s2s.report.figures import Comparison
from s2s.report.table import table
from s2s.training.runs.lifecycle import train

QUIET = {"device": "cpu", "wait": 0}


def run_all(names: Sequence[str], overrides: Sequence[str] = (), **more: Any) -> list[Compared]:
    return compare(Request(names, overrides, **more), **QUIET)


def run(names: Sequence[str], overrides: Sequence[str] = (), **more: Any) -> tuple[Comparison, list[StoredResult]]:
    """Compare on one test set; return the comparison and all stored results."""
    [compared] = run_all(names, overrides, **more)
    return compared.comparison, [result for system in compared.systems for result in system.runs]


def written(directory: Path, names: Sequence[str], overrides: Sequence[str] = (), **more: Any) -> list[Path]:
    """Compare, and return the stored results that were written."""
    return [file for file in write_results(directory, run_all(names, overrides, **more)) if file.suffix == ".json"]


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
    assert second.difference.estimate.value == pytest.approx(gain)
    assert sum(bucket.count for bucket in of_recipes.breakdowns[0].buckets) == 30
    assert "30 pairs, none of them in training" in of_recipes.task
    assert "model.decoder.context: fixed | attention" in " ".join(of_recipes.notes)
    assert "a test set of fewer than 100 lines says little" in of_recipes.notes[0]
    assert [stored.name for stored in results] == ["numbers-bottleneck", "numbers-attention"]
    first, *others = of_recipes.examples
    assert [heatmap is None for heatmap in first.heatmaps] == [True, False]
    reasons = ("the longest source", "a large win of numbers-", "a large loss of numbers-", "the lowest chrF2 of ")
    assert all(example.title.startswith(reasons) for example in others)
    assert {row.label for row in table(of_recipes)} >= {"positions attended", "source covered", "alignment error"}
    assert [figure.by for figure in of_recipes.breakdowns[:2]] == ["source length", "rarest word of the reference"]


def test_cells_stand_for_their_systems(trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [compared] = run_all(["numbers-bottleneck", "numbers-attention"])
    page, table, picture, *files = write_results(tmp_path, [compared])
    assert "numbers-attention" in table.read_text()
    assert "numbers-attention" in page.read_text()
    assert picture.read_text().startswith("<svg")
    comparison, results = compared.comparison, [system.first for system in compared.systems]
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "results/numbers-bottleneck.json",
        "results/numbers-attention.json",
    ]
    assert StoredResult.read(files[0]) == results[0]
    monkeypatch.setattr(measured, "evaluate", lambda *_, **__: pytest.fail("translated again"))
    monkeypatch.setattr(module, "lease", lambda *_, **__: pytest.fail("leased a device"))
    again, _ = run([str(file) for file in files])
    assert again.systems == comparison.systems
    assert again.breakdowns == comparison.breakdowns
    assert again.commands == []  # this registry need not have the models


def test_cells_of_another_test_set_are_refused(trained_home: Path, tmp_path: Path) -> None:
    [file] = written(tmp_path, ["numbers-bottleneck"])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"test": "0" * 64}))
    with pytest.raises(DataError, match="no result on this test set"):
        run(["numbers-attention", str(file)])


def test_results_have_files_of_their_own(trained_home: Path, tmp_path: Path) -> None:
    [compared] = run_all(["numbers-attention"])
    systems = [
        replace(compared.systems[0], runs=[replace(compared.systems[0].first, name=name)]) for name in ("x:1", "x-1")
    ]
    *_, first, second = write_results(tmp_path, [replace(compared, systems=systems)])
    assert (first.name, second.name) == ("x-1.json", "x-1-2.json")
    assert [StoredResult.read(file).name for file in (first, second)] == ["x:1", "x-1"]


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_results_directory(Path("new/one"), force=False)
    Path("file").touch()
    Path("page/report.html").mkdir(parents=True)
    Path("results").touch()
    for name in ("file", "file/sub", "page", "."):
        with pytest.raises(UsageError, match=r"not a directory|is a directory"):
            check_results_directory(Path(name), force=True)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ResourceError, match="cannot write to"):
        check_results_directory(Path("new/one"), force=False)


@pytest.mark.parametrize(
    "names", [{"name": "../evil"}, {"name": "/evil"}, {"name": "evil:0"}, {"test_name": "x/../../evil"}, {"name": ""}]
)
def test_names_that_leave_the_directory_are_refused(tmp_path: Path, names: dict[str, str]) -> None:
    file = tmp_path / "stored.json"
    values = {"name": "good-1:12", "test_name": "News", "test": "", "outputs": [], "scores": {}, "command": ""}
    file.write_text(json.dumps(values | {"schema": 6}))
    StoredResult.read(file)
    file.write_text(json.dumps(values | {"schema": 6} | names))
    with pytest.raises(ArtefactError, match="not part of a file's name"):
        StoredResult.read(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "not a stored"), ('{"schema": 6}', "name: field required"), ('{"schema": 99}', "newer"), ("{", "not JSON")],
)
def test_what_is_no_cell_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "stored.json"
    file.write_text(content)
    with pytest.raises(ArtefactError, match=message):
        StoredResult.read(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct_values": [1]}, "correct_values: not one for each output"),
        ({"outputs": ["a"]}, r"1 outputs of numbers-attention for 30 references"),
    ],
)
def test_damaged_results_are_refused(trained_home: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    [file] = written(tmp_path, ["numbers-attention"])
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises((ArtefactError, DataError), match=message):
        run([str(file)])


def test_all_systems_are_scored_alike(trained_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("eins\nzwei ; drei\n")
    (tmp_path / "a.en").write_text("one, two and three\ntwo ; three or four\n")
    (tmp_path / "o.en").write_text("one, two and three\ntwo; three or four\n")
    tests = [f"mine={tmp_path / 'a.de'}:{tmp_path / 'a.en'}"]
    [first, *_, file] = written(tmp_path, ["numbers-attention"], tests=tests, outputs=[f"other={tmp_path / 'o.en'}"])
    values = json.loads(file.read_text())
    bleu = values["scores"]["bleu"]
    file.write_text(json.dumps(values | {"scores": {"bleu": bleu | {"value": 12.5, "signature": "BLEU|tok:none"}}}))
    comparison, _ = run([str(first), str(file)], tests=tests)
    scored = comparison.systems[1]
    assert scored.estimate is not None
    assert scored.scores["bleu"].value == pytest.approx(scored.estimate.value) == pytest.approx(bleu["value"])
    assert scored.scores["bleu"].signature == bleu["signature"]
    assert scored.scores.keys() >= {"chrf", "exact", "ter"}


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
    found = written(tmp_path, ["numbers-attention:1", "numbers-attention:2"])
    assert [file.name for file in found] == ["numbers-attention-1.json", "numbers-attention-2.json"]
    assert [StoredResult.read(file).name for file in found] == ["numbers-attention:1", "numbers-attention:2"]
    for name, suggested in [
        ("numbers-attention:1", "numbers-attention:1"),
        ("numbers-attention:2", "numbers-attention"),
    ]:
        assert run([name])[0].commands[1] == f"s2s models show {suggested}"


def test_a_system_is_named_once(trained_home: Path, tiny: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two systems are called numbers-attention:1"):
        run(["numbers-attention", "numbers-attention:1"])
    with pytest.raises(UsageError, match="numbers-attention:1 is named twice"):
        run(["numbers/attention", "numbers-attention"], tiny)
    [file] = written(tmp_path, ["numbers-attention"])
    (tmp_path / "copy.json").write_bytes(file.read_bytes())
    with pytest.raises(UsageError, match="two results of numbers-attention with seed 1 on one test set"):
        run([str(file), str(tmp_path / "copy.json")])
    _, results = run([str(file), "numbers-attention"])
    assert [stored.name for stored in results] == ["numbers-attention", "numbers-attention:1"]


def test_results_of_one_name_are_of_one_recipe(trained_home: Path, tmp_path: Path) -> None:
    [file] = written(tmp_path, ["numbers-attention"])
    values = json.loads(file.read_text())
    training = values["training"]
    optimizer = training["recipe"]["training"] | {"seed": 2, "lr": 0.5}
    other = training | {"seed": 2, "recipe": training["recipe"] | {"training": optimizer}}
    for changed in (other, None):
        (tmp_path / "other.json").write_text(json.dumps(values | {"training": changed}))
        with pytest.raises(UsageError, match="the results called numbers-attention are of different recipes"):
            run([str(file), str(tmp_path / "other.json")])


def test_tokenizers_are_varied(trained_home: Path, tiny: list[str]) -> None:
    comparison, _ = run(["numbers/bottleneck"], tiny, vary=["tokenizer.vocab_size=130,140"])
    assert "none of them in training" in comparison.task
    assert {row.label for row in table(comparison)} & {"perplexity", "bits per byte"} == {"bits per byte"}


def test_short_references_are_compared_by_chrf(trained_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("drei\nvier\n12. Mai 1999\n")
    (tmp_path / "a.en").write_text("three\nfour\nMay 12, 1999\n")
    test = f"short={tmp_path / 'a.de'}:{tmp_path / 'a.en'}"
    comparison, results = run(["numbers-attention", "numbers-bottleneck"], tests=[test])
    assert comparison.notes[0].endswith("chrF2 is the score to go by")
    assert comparison.breakdowns[0].metric == "chrF2"
    first, second = (stored.scores["chrf"].value for stored in results)
    difference = comparison.systems[1].difference
    assert difference is not None
    assert difference.estimate.value == pytest.approx(second - first)
    assert difference.bootstrap is not None
    assert difference.bootstrap.signature.startswith("chrF2|")
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
        ["numbers-attention", "numbers-bottleneck"], tests=[f"mine={tmp_path / 'a.de'}:{tmp_path / 'a.en'}"]
    )
    assert comparison.task == "mine · 2 pairs, overlap with training not checked"
    for text in ("mine", "mine=a.de", "=a:b", "../x=a:b"):
        with pytest.raises(UsageError, match="expected NAME=SOURCE:REFERENCE"):
            run(["numbers-attention"], tests=[text])


def test_own_test_files_need_no_training_data(
    trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.de").write_text("drei\nvier\n")
    (tmp_path / "a.en").write_text("three\nfour\n")

    def properties() -> set[str]:
        comparison, _ = run(["numbers-attention"], tests=[f"mine={tmp_path / 'a.de'}:{tmp_path / 'a.en'}"])
        return {figure.by for figure in comparison.breakdowns}

    monkeypatch.setattr(test_set, "prepare_corpus", lambda *_, **__: pytest.fail("prepared again"))
    of_training = "frequency in training"
    assert of_training in properties()
    [ledger] = (trained_home / "corpora").glob("*/ledger.json")
    ledger.write_text("{}")
    assert of_training not in properties()
    assert "the test set is not compared with training: " in caplog.text
    shutil.rmtree(trained_home / "corpora")
    assert of_training not in properties()


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
    [compared] = run_all(["numbers-attention", "numbers-bottleneck"])
    test = test_set.TestSet(["a"] * 30, ["a"] * 30, ["b"] * 30, "", Scoring(), "bleu")
    attention, bottleneck = [replace(system, test=test) for system in compared.systems]
    assert bottleneck.training is not None
    training = replace(bottleneck.training, tokenizer="0" * 64)
    other = SystemResults("other", "", [replace(bottleneck.first, training=training)], test)
    shown = [summarize([attention, second], test, []) for second in (bottleneck, other)]
    labels = [[row.label for row in table(comparison)] for comparison in shown]
    assert ["perplexity" in found for found in labels] == [True, False]
    assert all("bits per byte" in found for found in labels)


class TestSeeds:
    """Each recipe is trained from several seeds; figures are means with intervals that cover chance in training."""

    def test_seeds_are_versions_and_their_results_are_merged_again(
        self, trained_home: Path, tiny: list[str], tmp_path: Path
    ) -> None:
        [compared] = run_all(["numbers/bottleneck", "numbers/attention"], tiny, seeds=2)
        assert [len(system.runs) for system in compared.systems] == [2, 2]
        assert [run.training and run.training.seed for run in compared.systems[1].runs] == [1, 2]
        comparison = compared.comparison
        values = [run.scores["bleu"].value for run in compared.systems[1].runs]
        second = comparison.systems[1]
        assert second.scores["bleu"].value == pytest.approx(sum(values) / 2)
        assert second.deviations["bleu"] == pytest.approx(statistics.stdev(values))
        assert second.difference is not None
        assert second.difference.bootstrap is None
        assert second.difference.estimate.seeds is not None
        assert "intervals and p cover the choice of sentences and chance in training" in comparison.notes
        assert {row.label for row in table(comparison)} >= {"seeds", "by training"}
        files = [file for file in write_results(tmp_path, [compared]) if file.suffix == ".json"]
        assert [file.name for file in files] == [
            "numbers-bottleneck-seed-1.json", "numbers-bottleneck-seed-2.json",
            "numbers-attention-seed-1.json", "numbers-attention-seed-2.json",
        ]  # fmt: skip
        again, _ = run([str(file) for file in files])
        assert again.systems == comparison.systems
        assert json.loads(json.dumps(as_json(again), allow_nan=False))["systems"][1]["difference"]["estimate"][
            "p_value"
        ]

    def test_seeds_apply_to_recipes(self, trained_home: Path) -> None:
        with pytest.raises(UsageError, match="--seeds 3 applies to recipes"):
            run(["numbers-attention"], seeds=3)


class TestOtherSystems:
    """Outputs of other toolkits, and scores of other metrics."""

    @pytest.fixture
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        sources, references = ["drei", "vier ; fünf", "zwölf"] * 4, ["three", "four ; five", "twelve"] * 4
        Path("a.de").write_text("".join(f"{line}\n" for line in sources))
        Path("a.en").write_text("".join(f"{line}\n" for line in references))
        Path("other.en").write_text("".join(f"{line}\n" for line in [*references[:-1], "two"]))
        return "mine=a.de:a.en"

    def test_outputs_are_scored_beside_models(self, trained_home: Path, files: str, tmp_path: Path) -> None:
        [compared] = run_all(["numbers-attention"], tests=[files], outputs=["other=other.en"])
        other = compared.comparison.systems[1]
        assert other.scores["exact"].value == pytest.approx(100 * 11 / 12)
        assert (other.parameters, other.network, other.perplexity) == (None, "", None)
        assert other.command == "s2s compare --hyp other=other.en --test mine=a.de:a.en"
        stored = [file for file in write_results(tmp_path / "out", [compared]) if file.suffix == ".json"]
        assert [file.name for file in stored] == ["numbers-attention-mine.json", "other-mine.json"]
        again, _ = run([str(file) for file in stored], tests=[files])
        assert again.systems == compared.comparison.systems

    def test_outputs_need_no_model(self, files: str) -> None:
        comparison, _ = run([], tests=[files], outputs=["other=other.en", "copy=a.de"])
        typical = {(one.text, one.better): one.counts for one in comparison.ngrams}
        assert typical["four ; five", "other"] == ((4, 0), (0, 0))
        assert typical["vier ; fünf", "copy"] == ((0, 0), (0, 4))
        assert [system.name for system in comparison.systems] == ["other", "copy"]
        assert comparison.commands == []
        with pytest.raises(UsageError, match="no test set is named"):
            run([], outputs=["other=other.en"])

    @pytest.mark.parametrize("text", ["other.en", "=other.en", "a/b=other.en", "other="])
    def test_outputs_are_named(self, files: str, text: str) -> None:
        with pytest.raises(UsageError, match="expected NAME=FILE"):
            run([], tests=[files], outputs=[text])

    def test_outputs_have_a_line_for_each_source(self, files: str) -> None:
        Path("short.en").write_text("three\n")
        with pytest.raises(DataError, match=r"1 lines of short\.en for 12 references"):
            run([], tests=[files], outputs=["other=short.en"])

    def test_outputs_are_read_before_anything_is_trained(
        self, own_home: Path, files: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail("trained"))
        Path("short.en").write_text("three\n")
        Path("empty.en").write_text("")
        for name, message in [("short", "1 lines of short"), ("empty", "0 lines of empty")]:
            with pytest.raises(DataError, match=message):
                run(["numbers/attention"], tests=[files], outputs=[f"other={name}.en"])
        for absent in ({"outputs": ["other=absent.en"]}, {"scores": ["COMET=absent.en"]}):
            with pytest.raises(UsageError, match="absent"):
                run(["numbers/attention"], tests=[files], **absent)

    def test_what_does_not_fit_the_corpus_is_refused_before_anything_is_trained(
        self, trained_home: Path, files: str, tiny: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (scored,) = run_all(["numbers-attention"], tests=[files])
        stored = [str(file) for file in write_results(Path("out"), [scored]) if file.suffix == ".json"]
        Path("short.tsv").write_text("numbers-attention\n0.5\n")
        monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail("trained"))
        recipe = {"names": ["numbers/attention"], "overrides": [*tiny, "training.seed=9"]}
        for more, message in [
            ({"outputs": ["other=other.en"]}, r"12 lines of other\.en for"),
            ({"scores": ["COMET=short.tsv"]}, r"short\.tsv has 1 rows of scores for"),
            ({"names": ["numbers/attention", *stored], "overrides": [*tiny, "name=new"]}, "no result on this test set"),
        ]:
            with pytest.raises(DataError, match=message):
                run(**recipe | more)

    def test_several_test_sets_are_compared_apart(self, trained_home: Path, files: str) -> None:
        other = files.replace("mine", "again")
        first, second = run_all(["numbers-attention"], tests=[files, other])
        assert first.comparison.task.startswith("mine · 12 pairs")
        assert second.comparison.task.startswith("again · 12 pairs")
        for tests, more, message in [
            ([files, files], {}, "two test sets are called mine"),
            ([files, other], {"outputs": ["other=other.en"]}, "--hyp with several test sets"),
            ([files, other], {"scores": ["COMET=x.tsv"]}, "--scores with several test sets"),
        ]:
            with pytest.raises(UsageError, match=message):
                run(["numbers-attention"], tests=tests, **more)

    def test_systems_of_a_pattern_have_one_order_on_all_test_sets(
        self, trained_home: Path, tiny: list[str], files: str
    ) -> None:
        names = ["numbers/attention*", "numbers/bottleneck"]
        _, results = run(names, tiny, tests=[files])
        for result in results:  # on each of these, one system is right throughout
            Path(f"{result.name}.en").write_text("".join(f"{line}\n" for line in result.outputs))
        tests = [f"{name}=a.de:{name}.en" for name in ("numbers-attention", "numbers-bottleneck")]
        compared = run_all(names, tiny, tests=tests)
        assert [[system.name for system in one.comparison.systems] for one in compared] == [
            ["numbers-bottleneck", "numbers-attention"]
        ] * 2
        assert [one.comparison.systems[1].scores["exact"].value == 100 for one in compared] == [True, False]

    def test_scores_of_another_metric(self, files: str) -> None:
        Path("comet.tsv").write_text("other\tcopy\n" + "0.8\t0.25\n" * 6 + "0.6\t0.35\n" * 6)
        comparison, _ = run([], tests=[files], outputs=["other=other.en", "copy=a.de"], scores=["COMET=comet.tsv"])
        [row] = [row for row in table(comparison) if row.label == "COMET"]
        assert [cell.text for cell in row.cells] == ["0.7", "0.3"]
        assert row.cells[1].note.startswith("−0.4  p < 0.001")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("other\n" + "1\n" * 11, r"11 rows of scores for 12 lines"),
            ("other\n", "no scores"),
            ("unknown\n" + "1\n" * 12, "no system is called 'unknown'"),
            ("other\tother\n" + "1\t2\n" * 12, "2 columns of other, which has 1 seeds"),
            ("other\n" + "1\n" * 11 + "x\n", r"t\.tsv:13: column 1 is not a number"),
            ("other\n" + "1\t0.5\n" * 12, r"t\.tsv:2: 2 columns, not 1"),
            ("other\n\n" + "1\n" * 11, r"t\.tsv:2: column 1 is not a number"),
            ("\n" + "1\n" * 12, "no system is called ''"),
            ("other\n" + "1\n" * 11 + "1\r1\n", r"t\.tsv:13: column 1 is not a number"),
            ("other\n" + "1\n" * 11 + "nan\n", r"t\.tsv:13: column 1 is not a number"),
        ],
        ids=["rows", "none", "system", "seeds", "text", "numbered", "blank", "no-heads", "carriage-return", "nan"],
    )
    def test_score_tables_that_do_not_fit_are_refused(self, files: str, content: str, message: str) -> None:
        Path("t.tsv").write_text(content)
        with pytest.raises(DataError, match=message):
            run([], tests=[files], outputs=["other=other.en"], scores=["COMET=t.tsv"])
