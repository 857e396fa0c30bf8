"""Runs: what they leave, when they are re-used, resumed or refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2s.data.corpora import corpus_directories, remove_corpus
from s2s.data.corpus import Corpus
from s2s.devices.runtime import Machine
from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.recipe.load import load_recipe
from s2s.registry.store import Registry
from s2s.training.runs import lifecycle as module
from s2s.training.runs.context import RunContext
from s2s.training.runs.lifecycle import resume, run_key, train
from s2s.training.runs.record import find_run, runs_directory, unfinished_run

QUIET = {"wait": 0}


def test_a_run_leaves_its_records(trained: Path) -> None:
    (directory,) = (trained / "runs").glob("numbers-attention-*")
    record = json.loads((directory / "run.json").read_text())
    assert record["published"] == "numbers-attention:1"
    assert {"key", "corpus", "device", "precision", "threads"} <= record.keys()
    kinds = [json.loads(line)["kind"] for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert kinds.count("validation") == 3
    assert "validation" in (directory / "log.txt").read_text()
    assert load_recipe(str(directory / "recipe.toml")).training.stop_after == "12 updates"


def test_the_card_says_how_the_model_came_about(trained_home: Path) -> None:
    card = Registry.default().resolve("numbers-attention").card
    assert card.architecture == "bidirectional GRU encoder; GRU decoder with additive attention"
    assert card.attention
    assert not Registry.default().resolve("numbers-bottleneck").card.attention
    assert card.pairs == {"train": 300, "validation": 20, "test": 30}
    assert card.training.updates == 12
    assert card.training.threads >= 1
    assert {"torch", "s2s", "python", "sacrebleu"} <= card.versions.keys()
    assert card.machine == Machine.current()
    assert {score.metric for score in card.scores} == {"bleu", "chrf", "ter", "exact", "bits_per_byte", "perplexity"}
    assert all(score.signature for score in card.scores)
    assert "root" not in card.recipe["data"]


def test_a_recipe_trained_before_is_not_trained_again(trained_home: Path, tiny: list[str], said: list[str]) -> None:
    arguments = QUIET
    version = train(load_recipe("numbers/attention", tiny), device="cpu", **arguments)
    assert version.reference == "numbers-attention:1"
    assert any("--fresh" in line for line in said)
    fresh = train(load_recipe("numbers/attention", tiny), device="cpu", fresh=True, **arguments)
    assert fresh.reference == "numbers-attention:2"
    assert fresh.files["weights.safetensors"] == version.files["weights.safetensors"]


def test_the_seed_changes_key_and_weights(trained_home: Path, tiny: list[str]) -> None:
    version = train(load_recipe("numbers/attention", [*tiny, "training.seed=2"]), device="cpu", **QUIET)
    first = Registry.default().resolve("numbers-attention:1")
    assert version.number == 2
    assert version.card.training.key != first.card.training.key
    assert version.card.corpus == first.card.corpus
    assert version.files["weights.safetensors"] != first.files["weights.safetensors"]


def test_a_corpus_that_is_removed_meanwhile_is_not_missed(
    trained_home: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_without_corpus(*arguments: Any) -> Any:
        for directory in corpus_directories():
            remove_corpus(directory.name)
        return fit(*arguments)

    fit = module.fit
    monkeypatch.setattr(module, "fit", fit_without_corpus)
    version = train(load_recipe("numbers/attention", [*tiny, "training.seed=2"]), device="cpu", **QUIET)
    assert version.card.pairs["test"] == 30
    assert corpus_directories() == []


@pytest.mark.parametrize("updates", [3, 6, 11])
def test_an_interrupted_run_is_refused_named_and_resumed_to_the_same_weights(
    updates: int, trained_home: Path, tiny: list[str], interrupted: Callable[[int], None]
) -> None:
    recipe = load_recipe("numbers/attention", [*tiny, "name=again"])
    interrupted(updates)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, device="cpu", **QUIET)
    with pytest.raises(ResourceError) as refused:
        train(recipe, device="cpu", **QUIET)
    (directory,) = runs_directory().glob("again-*")
    assert f"s2s resume {directory.name}" in (refused.value.hint or "")
    version = resume(directory.name, **QUIET)
    whole = Registry.default().resolve("numbers-attention:1")
    assert version.files["weights.safetensors"] == whole.files["weights.safetensors"]
    with pytest.raises(UsageError, match="finished") as finished:
        resume(directory.name, **QUIET)
    assert finished.value.hint == "s2s train RECIPE --from again:1 trains on from its weights"


def test_a_decoder_only_run_is_resumed_exactly(
    own_home: Path, tiny: list[str], interrupted: Callable[[int], None]
) -> None:
    small = [setting for setting in tiny if "hidden_size" not in setting]
    small += ["model.decoder.layers=2", "model.dropout=0.1", "training.r_drop=0.5", "training.word_dropout=0.1"]
    whole, again = (load_recipe("numbers/decoder-only", [*small, f"name={name}"]) for name in ("whole", "again"))
    version = train(whole, device="cpu", **QUIET)
    interrupted(5)
    with pytest.raises(KeyboardInterrupt):
        train(again, device="cpu", **QUIET)
    (directory,) = runs_directory().glob("again-*")
    resumed = resume(directory.name, **QUIET)
    assert resumed.files["weights.safetensors"] == version.files["weights.safetensors"]
    assert resumed.card.architecture == "2-layer decoder-only Transformer with full attention in the source"
    assert resumed.card.attention


def test_compare_goes_on_with_an_interrupted_run_by_itself(
    trained_home: Path, tiny: list[str], interrupted: Callable[[int], None]
) -> None:
    recipe = load_recipe("numbers/attention", [*tiny, "name=again"])
    interrupted(5)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, device="cpu", **QUIET)
    version = train(recipe, device="cpu", resume_unfinished=True, **QUIET)
    assert version.reference == "again:1"
    assert len(list(runs_directory().glob("again-*"))) == 1


def test_a_run_has_one_writer(
    trained_home: Path, tiny: list[str], interrupted: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("numbers/attention", [*tiny, "name=again"])
    interrupted(5)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, device="cpu", **QUIET)
    (directory,) = runs_directory().glob("again-*")
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(before := json.dumps(record | {"features": ["mmx"]}))  # a change to be noted
    with module.exclusive_lock(directory / "lock", "at work"), pytest.raises(ResourceError, match="training run again"):
        resume(directory.name, **QUIET)
    assert (directory / "run.json").read_text() == before
    with module.exclusive_lock(directory / "lock", "at work"), pytest.raises(ResourceError) as trained:
        train(recipe, device="cpu", **QUIET)
    assert trained.value.message == f"process {os.getpid()} is training run {directory.name} of this recipe"
    assert trained.value.hint == "--fresh trains anew"


def test_what_another_process_has_done_meanwhile_counts(
    trained_home: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, answers = load_recipe("numbers/attention", tiny), [None, Registry.default().resolve("numbers-attention")]
    monkeypatch.setattr(module, "find_existing", lambda *_: answers.pop(0))
    assert train(recipe, device="cpu", **QUIET).reference == "numbers-attention:1"  # published while it waited
    (directory,) = runs_directory().glob("numbers-attention-*")
    corpus = Corpus.open(next(path for path in (trained_home / "corpora").iterdir() if path.is_dir()))
    before = (directory / "run.json").read_bytes()
    version = module.resume_run(directory, recipe, corpus, RunContext.current(0, tensorboard=False))
    assert version.reference == "numbers-attention:1"
    assert (directory / "run.json").read_bytes() == before


def test_unknown_runs_and_newer_schemas(trained_home: Path) -> None:
    (directory,) = runs_directory().glob("numbers-attention-*")
    with pytest.raises(UsageError) as unknown:
        find_run(directory.name[:-1])
    assert directory.name in (unknown.value.hint or "")
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(record | {"schema": 99}))
    with pytest.raises(ArtefactError, match="is newer than"):
        resume(directory.name, **QUIET)


def test_the_key_is_of_contents_not_of_places(trained: Path, tiny: list[str]) -> None:
    corpus = Corpus.open(next(path for path in (trained / "corpora").iterdir() if path.is_dir()))
    recipe = load_recipe("numbers/attention", tiny)
    described = load_recipe("numbers/attention", [*tiny, "description=other words"])
    assert run_key(recipe, corpus) == run_key(described, corpus)
    for setting in ("training.lr=1e-4", "data.augmentation.typos=0.1"):
        assert run_key(recipe, corpus) != run_key(load_recipe("numbers/attention", [*tiny, setting]), corpus)
    here, moved = (load_recipe("multi30k/attention", [f"data.root={root}"]) for root in ("here", "/elsewhere"))
    assert run_key(here, corpus) == run_key(moved, corpus)
    assert unfinished_run("numbers-attention", run_key(recipe, corpus)) is None
