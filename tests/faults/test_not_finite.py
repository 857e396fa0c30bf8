"""A loss that is not finite: skip the step, count it and log its lines; then roll back; then stop and say why."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from s2s.data.corpus import Corpus
from s2s.errors import S2SError
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import NLL, Batch, LossSums, Objective
from s2s.models.weights import is_finite
from s2s.recipe.load import load_recipe
from s2s.training import trainer
from s2s.training.runs.lifecycle import resume, train
from s2s.training.runs.record import runs_directory
from s2s.training.step import Learner, StepResult
from s2s.training.trainer import MAX_SKIPS
from s2s.training.validation import Validation

QUIET = {"wait": 0}


@contextlib.contextmanager
def poisoned(where: Callable[[Batch], bool]) -> Iterator[None]:
    """Make the training loss of the batches that `where` selects infinite."""
    forward = EncoderDecoder.forward

    def infinite(self: EncoderDecoder, batch: Batch, objective: Objective = NLL) -> LossSums:
        sums = forward(self, batch, objective)
        return replace(sums, loss=sums.loss * float("inf")) if self.training and where(batch) else sums

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EncoderDecoder, "forward", infinite)
        yield


def calls_between(first: int, last: int) -> Callable[[Batch], bool]:
    """Return a predicate that is true in its calls number `first` to `last`, from 1."""
    calls = itertools.count(1)
    return lambda _: first <= next(calls) <= last


def records(kind: str) -> list[dict[str, object]]:
    """Return the records of a kind in the metrics of the run `again`."""
    (directory,) = runs_directory().glob("again-*")
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_infinite_loss_is_skipped_counted_and_logged(trained_home: Path, tiny: list[str]) -> None:
    (directory,) = (path for path in (trained_home / "corpora").iterdir() if path.is_dir())
    split = Corpus.open(directory).split("train")
    ((line,), _), (place,) = split.encoded([17]), split.places([17])

    def holds_the_line(batch: Batch) -> bool:
        return any(row[: len(line)].tolist() == list(line) for row in batch.source.ids)

    with poisoned(holds_the_line):
        version = train(load_recipe("numbers/attention", [*tiny, "name=again"]), device="cpu", **QUIET)
    skipped = records("skipped")
    assert version.card.training.skipped == len(skipped) > 0
    (run,) = runs_directory().glob("again-*")
    named = [text for text in (run / "log.txt").read_text().splitlines() if "lines of the skipped update" in text]
    assert len(named) == len(skipped)
    assert all(f"{place}," in f"{text}," for text in named)


def test_rollback_halves_the_learning_rate(trained_home: Path, tiny: list[str]) -> None:
    settings = [*tiny, "name=again", "training.log_every=1", "training.lr_schedule=none", "training.warmup=0"]
    with poisoned(calls_between(6, 10)):
        version = train(load_recipe("numbers/attention", settings), device="cpu", **QUIET)
    assert [record["update"] for record in records("skipped")] == [6, 7, 8, 9, 10]
    told = [(record["update"], record["lr"]) for record in records("training")]
    rate = told[0][1]
    assert told == [(update, rate) for update in range(1, 6)] + [(update, rate / 2) for update in range(9, 13)]
    assert version.card.training.skipped == 5
    assert version.card.training.updates == 12


def test_divergence_is_explained_and_the_run_can_be_resumed(trained_home: Path, tiny: list[str]) -> None:
    settings = [*tiny, "training.stop_after=24 updates", "training.validate_every=8 updates"]
    whole = train(load_recipe("numbers/attention", [*settings, "name=whole"]), device="cpu", **QUIET)
    with poisoned(calls_between(9, 1000)), pytest.raises(S2SError, match="the training diverges") as ended:
        train(load_recipe("numbers/attention", [*settings, "name=again"]), device="cpu", **QUIET)
    assert len(records("skipped")) == 4 * MAX_SKIPS
    (directory,) = runs_directory().glob("again-*")
    assert f"s2s resume {directory.name}" in (ended.value.hint or "")
    assert "training.lr" in (ended.value.hint or "")
    version = resume(directory.name, **QUIET)
    assert version.files["weights.safetensors"] == whole.files["weights.safetensors"]


@pytest.mark.parametrize("what", ["weights", "validation loss"])
def test_what_is_not_finite_is_never_saved(what: str, trained_home: Path, tiny: list[str]) -> None:
    calls = itertools.count(1)
    step, combine = trainer.train_step_within_memory, trainer.combine_shares

    def poisoned_step(learner: Learner, *arguments: Any, **more: Any) -> StepResult:
        result = step(learner, *arguments, **more)
        if what == "weights" and next(calls) == 8:
            learner.network.bias.data[3] = float("nan")
        return result

    def poisoned_validation(*arguments: Any) -> Validation:
        result = combine(*arguments)
        return replace(result, loss=float("nan")) if what != "weights" and next(calls) == 2 else result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "train_step_within_memory", poisoned_step)
        patch.setattr(trainer, "combine_shares", poisoned_validation)
        version = train(load_recipe("numbers/attention", [*tiny, "name=again"]), device="cpu", **QUIET)
    (directory,) = runs_directory().glob("again-*")
    log = (directory / "log.txt").read_text()
    assert f"the {what} {'are' if what == 'weights' else 'is'} not finite: rolled back to update 4, at 0.5" in log
    assert [record["update"] for record in records("validation")] == [4, 8, 12]
    assert is_finite(load_file(version.path("weights.safetensors")))
    assert version.card.training.updates == 12


def test_a_validation_that_is_never_finite_ends_training(trained_home: Path, tiny: list[str]) -> None:
    recipe = load_recipe("numbers/attention", [*tiny, "name=again"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "combine_shares", lambda *_: Validation(float("nan")))
        with pytest.raises(S2SError, match="before the first checkpoint"):
            train(recipe, device="cpu", **QUIET)
