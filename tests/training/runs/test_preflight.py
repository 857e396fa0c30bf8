"""`s2s train --check`: what a training will take, found by trying, and nothing left of it."""

import json
import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from s2s.cli.app import main
from s2s.data.corpus import Corpus
from s2s.decoding.loading import reference_translator
from s2s.devices.select import resolve_device
from s2s.errors import ResourceError
from s2s.models.build import build_model
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.text.tokenizer import Tokenizer
from s2s.training import memory, step
from s2s.training.batches import TrainingBatches
from s2s.training.distributed import DistributedContext
from s2s.training.examples import Examples
from s2s.training.memory import memory_needed, micro_batch_that_fits, worst_shapes
from s2s.training.runs import preflight
from s2s.training.runs.record import RunRecord, run_directories, runs_directory
from s2s.training.step import Learner, StepResult, train_step_within_memory

SAMPLED = "training.subword_regularization=0.1"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def recipe(tiny: list[str]) -> Recipe:
    return load_recipe("numbers/attention", tiny)


@pytest.fixture
def corpus(trained_home: Path) -> Corpus:
    return Corpus.open(next(path for path in (trained_home / "corpora").iterdir() if path.is_dir()))


@pytest.fixture
def examples(corpus: Corpus, recipe: Recipe) -> Examples:
    return examples_of(corpus, recipe)


def examples_of(corpus: Corpus, recipe: Recipe) -> Examples:
    return TrainingBatches(corpus.split("train"), Tokenizer(corpus.tokenizer), recipe).examples(0)


@pytest.fixture
def checked(
    trained_home: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`checked("--json")`: exit code, output and messages of `s2s train numbers/attention --check --json`."""

    def call(*arguments: str) -> tuple[int, str, str]:
        settings = [part for setting in tiny for part in ("--set", setting)]
        capsys.readouterr()
        code = main(["train", "numbers/attention", *settings, "--check", *arguments])
        return code, *capsys.readouterr()

    return call


def with_free(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _: memory_bytes)


def test_it_says_what_training_takes_and_leaves_nothing(checked: Callable, trained_home: Path, recipe: Recipe) -> None:
    before = {path for path in trained_home.rglob("*") if path.is_file()}
    code, out, err = checked("--set", "name=fresh", "--device", "cpu", "--threads", "1", "--wait", "2m", "--fresh")
    assert code == 0
    said = {line[:20].strip(): line[20:].strip() for line in out.splitlines()}
    size = sum(parameter.numel() for parameter in build_model(recipe.model, 120).parameters())
    assert said["model"] == f"{recipe.model.describe()}; {size:,} parameters"
    assert said["device"].startswith("cpu, fp32, 1 thread")
    assert said["micro-batches"] == "all of a batch's 400 tokens"
    assert "peak for the largest batches" in said["memory"]
    assert re.fullmatch(
        r"\d+ s in all \(12 updates\), \d+ s per epoch of \d+ batches; without validation", said["time"]
    )
    assert "for checkpoints of " in said["disk"]
    assert said["checkpoint"] == "written and read back"
    assert sum(line.startswith("before training") and " → " in line for line in out.splitlines()) == 3
    (command,) = [line.partition("Next: ")[2] for line in err.splitlines() if line.startswith("it fits")]
    assert command.startswith("s2s train numbers/attention --set data.generator.train=300 --set ")
    assert command.endswith("--set name=fresh --device cpu --wait 120s --threads 1 --fresh")
    left = {path for path in trained_home.rglob("*") if path.is_file()} - before
    assert not [path for path in left if "leases" not in path.parts]
    assert len(run_directories()) == 2  # those of the two tiny models
    assert "fresh" not in Registry.default().names()


def test_the_figures_as_json(checked: Callable, corpus: Corpus, recipe: Recipe) -> None:
    code, out, _ = checked("--json")
    found = json.loads(out)
    assert code == 0
    kept = next(runs_directory().glob("numbers-attention-*/checkpoints/*"))
    bytes_of_checkpoint = sum(path.stat().st_size for path in kept.iterdir() if path.name != "state.json")
    assert found["checkpoint_bytes"] == pytest.approx(bytes_of_checkpoint, rel=0.05)
    assert found["disk_needed"] > 3 * found["checkpoint_bytes"]  # two newest, the best, one while it is written
    assert 0 < found["memory_estimate"] < found["memory_free"]
    assert found["memory_peak"] > 0
    assert found["epoch_seconds"] > 0
    texts, _ = corpus.split("validation").texts([0, 1, 2])
    assert [source for source, _ in found["lines"]] == texts
    averaged = json.loads(checked("--json", "--set", "training.averaging=last:5")[1])
    assert averaged["disk_needed"] - found["disk_needed"] == 5 * found["checkpoint_bytes"]
    moving = json.loads(checked("--json", "--set", "training.ema=0.9")[1])
    assert moving["checkpoint_bytes"] - found["checkpoint_bytes"] > 4 * found["parameters"]


@pytest.mark.parametrize(("warmup", "warned"), [(4, False), (5, True)])
def test_a_long_warmup_is_reported(checked: Callable, warmup: int, warned: bool) -> None:
    code, _, err = checked("--set", f"training.warmup={warmup}")
    assert code == 0
    assert (f"training.warmup takes {warmup} of about 12 updates, more than a third; lower it" in err) is warned


def test_it_tries_the_longest_sentences(
    corpus: Corpus, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, trained_home: Path
) -> None:
    tried: list[int] = []

    def noted(learner: Learner, sources: list[list[int]], targets: list[list[int]], **values: Any) -> object:
        tried.append(max(map(len, [*sources, *targets])))
        return train_step_within_memory(learner, sources, targets, **values)

    monkeypatch.setattr(memory, "train_step_within_memory", noted)
    preflight.check(recipe, corpus, "cpu")
    train = corpus.split("train")
    assert tried[0] == max(train.source_lengths.max(), train.target_lengths.max())


def test_the_largest_batches_are_tried_in_smaller_parts(
    corpus: Corpus, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(learner: Learner, sources: Any, targets: Any, *, lr: float, micro_batch_tokens: int) -> StepResult:
        assert lr == 0
        if not 0 < micro_batch_tokens <= 120:
            raise MemoryError
        return whole(learner, sources, targets, lr=lr, micro_batch_tokens=micro_batch_tokens)

    whole = step.train_step
    monkeypatch.setattr(step, "train_step", limited)
    network = build_model(recipe.model, corpus.ledger.tokenizer.tokens)
    before = {name: value.clone() for name, value in network.weights().items()}
    learner = Learner(network.train(), recipe.training, torch.device("cpu"), "fp32", DistributedContext())
    batches = TrainingBatches(corpus.split("train"), Tokenizer(corpus.tokenizer), recipe)
    found = memory.try_largest_batches(learner, batches.examples(0), batches.of_epoch(0), 0)
    assert 0 < found <= 120
    assert all(value.equal(before[name]) for name, value in network.weights().items())


def test_too_little_memory_is_refused_before_it_is_filled(checked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 100_000)
    for module in (memory, preflight):
        monkeypatch.setattr(module, "train_step_within_memory", lambda *_, **__: pytest.fail("nothing may be computed"))
    code, out, err = checked()
    assert code == 5
    assert out == ""
    assert "training needs about" in err
    assert "micro_batch_tokens=auto" in err
    assert len(run_directories()) == 2


def test_too_little_disk_is_refused(checked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 1000, 1000))
    code, out, err = checked()
    assert code == 5
    assert out == ""
    assert " of disk, but only 1.0 kB are free" in err
    assert "training.keep_checkpoints" in err
    assert not [path for path in runs_directory().iterdir() if path.name.startswith(".check")]


def test_a_bad_recipe_is_refused_as_in_training(checked: Callable) -> None:
    assert checked("--set", 'training.freeze=["nothing.*"]')[0] == 2
    assert checked("--from", "numbers-attention", "--set", "model.encoder.hidden_size=16")[0] == 2


def test_from_a_model_it_begins_with_that_model(checked: Callable) -> None:
    code, out, _ = checked("--from", "numbers-attention", "--set", "data.generator.seed=2", "--json")
    assert code == 0
    lines = json.loads(out)["lines"]
    translator = reference_translator(Registry.default().resolve("numbers-attention"), resolve_device("cpu"))
    assert [one.text for one in translator.translate([source for source, _ in lines])] == [text for _, text in lines]


def test_several_processes_are_checked_as_one(checked: Callable) -> None:
    code, out, _ = checked("--processes", "2")
    assert code == 0
    assert out.count("checkpoint   ") == 1


def test_fewer_tokens_at_once_need_less_memory(examples: Examples, recipe: Recipe) -> None:
    whole, half = (memory_needed(recipe, examples, tokens, "cpu", "fp32") for tokens in (400, 100))
    size = sum(parameter.numel() for parameter in build_model(recipe.model, 120).parameters())
    assert 16 * size < half < whole  # weights, gradients and two moments stay


@pytest.mark.parametrize(("free", "expected"), [(600_000, 0), (499_000, 200), (130_000, 100), (124_000, 50)])
def test_auto_takes_the_largest_part_that_fits(
    free: int, expected: int, examples: Examples, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_needed", lambda _recipe, _split, tokens, *_: 1000 * tokens)
    with_free(monkeypatch, free)
    assert micro_batch_that_fits(recipe, examples, "cpu", "fp32") == expected


@pytest.mark.parametrize(("free", "expected"), [(600_000, 0), (400_000, 100)])
def test_auto_divides_batch_and_memory_among_processes(
    free: int, expected: int, examples: Examples, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_needed", lambda _recipe, _split, tokens, *_: 1000 * tokens)
    with_free(monkeypatch, free)
    assert micro_batch_that_fits(recipe, examples, "cpu", "fp32", processes=2, local_size=2) == expected


def test_a_process_needs_memory_for_its_share_of_a_batch(examples: Examples, recipe: Recipe) -> None:
    alone, shared = (memory_needed(recipe, examples, 400, "cpu", "fp32", processes) for processes in (1, 4))
    part = memory_needed(recipe, examples, 100, "cpu", "fp32")
    assert shared < alone
    assert abs(shared - part) < 0.05 * alone


def test_auto_gives_up_where_not_one_sentence_fits(
    examples: Examples, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_needed", lambda _recipe, _split, tokens, *_: 1000 * tokens)
    with_free(monkeypatch, 100)
    with pytest.raises(ResourceError, match="training needs about"):
        micro_batch_that_fits(recipe, examples, "cpu", "fp32")


def test_the_worst_batches_are_those_of_a_naive_search(examples: Examples) -> None:
    longest = (max(pair) + 1 for pair in zip(examples.source_lengths, examples.target_lengths, strict=True))
    lengths = sorted(longest, reverse=True)
    fullest, most = [], 0
    while lengths:
        count = max(1, 100 // int(lengths[0]))
        most = max(most, len(lengths[:count]) * int(lengths[0]))
        fullest.append((len(lengths[:count]), int(lengths[0])))
        lengths = lengths[count:]
    shapes = worst_shapes(examples, 100)
    assert (shapes[0].sentences, shapes[0].positions) == fullest[0]
    assert max(shape.sentences * shape.positions for shape in shapes) == most


def test_memory_is_that_of_sampled_segmentations(corpus: Corpus, tiny: list[str]) -> None:
    plain, sampled = (
        worst_shapes(examples_of(corpus, load_recipe("numbers/attention", [*tiny, *more])), 400)
        for more in ([], [SAMPLED])
    )
    assert sampled[0].positions > plain[0].positions


def test_auto_is_frozen_into_the_run(tiny_train: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_needed", lambda _recipe, _split, tokens, *_: 1000 * tokens)
    with_free(monkeypatch, 130_000)
    tiny_train("training.micro_batch_tokens=auto")
    (directory,) = runs_directory().glob("again-*")
    assert RunRecord.read(directory).micro_batch_tokens == 100
