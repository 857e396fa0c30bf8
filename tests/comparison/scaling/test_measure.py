"""Measuring scaling: runs are reused, and the prediction comes before its model and stays as it is."""

import json
from pathlib import Path

import pytest
from tiny_ladder import TINY_LADDER, TINY_SCALING

from s2s.cli.app import main
from s2s.comparison.scaling import measure as module
from s2s.comparison.scaling.ladder import LADDER, sizes
from s2s.comparison.scaling.measure import Measurement, known_entropy, measure, predict, train_large
from s2s.comparison.scaling.report import as_json, markdown_scaling, panels
from s2s.comparison.scaling.seal import read_prediction, seal
from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.io.json_values import format_json
from s2s.registry.store import Registry
from s2s.report.scaling import svg_scaling

QUIET = {"device": "cpu", "wait": 0.0}


def tiny(directory: Path, *more: str) -> Measurement:
    return measure(directory, [*TINY_SCALING, *more], ladder=TINY_LADDER, **QUIET)


def test_a_ladder_from_the_first_model_to_the_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = TINY_LADDER.large.recipe(TINY_SCALING)
    with pytest.raises(UsageError, match="no such prediction"):
        train_large(tmp_path / "prediction.json", recipe, **QUIET)

    trained: list[str] = []
    real = module.train

    def stopped(recipe, **more):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(recipe.name)
        return real(recipe, **more)

    monkeypatch.setattr(module, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path)
    monkeypatch.setattr(module, "train", real)
    assert [run["model"] for run in json.loads((tmp_path / "runs.json").read_text())["runs"]] == trained
    assert not (tmp_path / "prediction.json").exists()

    found = tiny(tmp_path)
    names = [model.name for model in [*TINY_LADDER.all(), TINY_LADDER.large]]
    assert [run["model"] for run in json.loads((tmp_path / "runs.json").read_text())["runs"]] == names
    registry = Registry.default()
    assert {name: registry.numbers(name) for name in registry.names()} == {name: [1] for name in names}
    sealed, digest = read_prediction(tmp_path / "prediction.json")
    assert (sealed, digest) == (found.prediction, found.digest)
    assert sealed.low < sealed.loss < sealed.high
    assert sealed.losses == {run.model: run.loss for run in found.runs}
    assert sealed.time < registry.resolve(TINY_LADDER.large.name).published
    assert found.error == found.outcome.loss - sealed.loss
    assert all(run.loss > found.entropy for run in [*found.runs, found.outcome])
    text = markdown_scaling(found)
    assert f"{sealed.loss:.4f} ({sealed.low:.4f} to {sealed.high:.4f}); sha256 {digest}" in text
    assert f"Outcome: {found.outcome.loss:.4f}, {found.error:+.4f} from the prediction" in text
    assert json.loads(format_json(as_json(found)))["outcome"]["loss"] == found.outcome.loss
    assert svg_scaling(panels(found)).count("<circle") == 5 + 2 + 6 + 1

    content = (tmp_path / "prediction.json").read_bytes()
    assert tiny(tmp_path) == found
    assert (tmp_path / "prediction.json").read_bytes() == content
    with pytest.raises(UsageError, match="a prediction is made once"):
        seal(tmp_path / "prediction.json", sealed)
    with pytest.raises(UsageError, match="predicts the loss of another run"):
        tiny(tmp_path, "training.seed=2")
    with pytest.raises(UsageError, match="trained before its loss was predicted"):
        predict(tmp_path / "again.json", found.runs, TINY_LADDER.large, recipe)
    (tmp_path / "prediction.json").write_bytes(content.replace(b'"low": ', b'"low": 1'))
    with pytest.raises(ArtefactError, match="was changed after it was sealed"):
        train_large(tmp_path / "prediction.json", recipe, **QUIET)


def test_other_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the grammar task alone"):
        tiny(tmp_path, "data.generator.name=numbers")


def test_an_output_that_is_a_file_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(module, "train", None)
    with pytest.raises(ResourceError, match="File exists"):
        tiny(tmp_path / "file")


def test_the_entropy_of_the_test_set_is_about_that_of_the_task() -> None:
    entropy, of_test = known_entropy(LADDER.large.recipe(["data.generator.test=700"]))
    assert of_test == pytest.approx(entropy, rel=0.03)
    assert of_test != entropy


def test_the_ladder_is_what_it_is_said_to_be() -> None:
    counts = {model: sizes(model.recipe([])) for model in [*LADDER.all(), LADDER.large]}
    assert 8 <= len(LADDER.models) <= 12
    assert all(55_000 < sum(counts[model][:2]) < 1_050_000 for model in LADDER.models)
    assert 1_900_000 < sum(counts[LADDER.large][:2]) < 2_200_000
    for one, other in LADDER.decoder_only:
        assert counts[other][2] == pytest.approx(counts[one][2], rel=0.01)
    for model in [*LADDER.all(), LADDER.large]:
        recipe = model.recipe([])
        assert recipe.training.lr * recipe.model.embedding_size == pytest.approx(0.384 * model.lr_factor)


def test_results_need_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    file.write_text("{}")
    assert main(["bench", "scaling", "--out", str(file)]) == 2
    assert "results.json is not a directory" in capsys.readouterr().err.replace("\n", "")
