"""Optimizer step: micro-batches equal to the whole batch, running out of memory, gradients that are not finite."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2s.data.batching import cut_batches
from s2s.data.collate import pair_batch
from s2s.data.corpus import Corpus
from s2s.decoding.forced import forced_score
from s2s.decoding.loading import reference_translator
from s2s.errors import ResourceError
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import BOS, EOS, NLL, PAD, UNK, Batch, Objective
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import RnnDecoderOptions, RnnEncoderOptions
from s2s.recipe.training import TrainingOptions
from s2s.registry.version import Version
from s2s.training import trainer
from s2s.training.distributed import DistributedContext
from s2s.training.runs.lifecycle import resume
from s2s.training.runs.record import read_run, runs_directory
from s2s.training.step import Learner, StepResult, train_step_within_memory, with_word_dropout

V = 19
DRAW = random.Random(1)
SOURCES = [[DRAW.randint(4, V - 1) for _ in range(length)] for length in (1, 2, 3, 3, 4, 5, 5, 7, 8, 9, 11)]
TARGETS = [[DRAW.randint(4, V - 1) for _ in range(length)] for length in (2, 1, 3, 4, 4, 4, 6, 6, 9, 8, 10)]
CPU = torch.device("cpu")
OutOfMemory: Any = torch.OutOfMemoryError


def learner(**options: Any) -> Learner:
    torch.manual_seed(1)
    network = build_model(
        ModelOptions(
            embedding_size=6,
            encoder=RnnEncoderOptions(hidden_size=4),
            decoder=RnnDecoderOptions(hidden_size=9, attention_size=5),
        ),
        V,
    )
    return Learner(network.train(), TrainingOptions(**options), CPU, "fp32", DistributedContext())


def step(trained: Learner, lr: float = 0.01, micro_batch_tokens: int = 0) -> StepResult:
    return train_step_within_memory(trained, SOURCES, TARGETS, lr=lr, micro_batch_tokens=micro_batch_tokens)


def weights(trained: Learner) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in trained.network.parameters()]


def gradients(trained: Learner) -> list[torch.Tensor]:
    return [parameter.grad for parameter in trained.network.parameters() if parameter.grad is not None]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def with_memory_for(monkeypatch: pytest.MonkeyPatch, tokens: int, error: Exception) -> list[int]:
    """Raise `error` in training with more than `tokens` tokens at once; return the list of sizes tried."""
    forward, tried = EncoderDecoder.forward, []

    def limited(self: EncoderDecoder, batch: Batch, objective: Objective = NLL) -> Any:
        size = batch.inputs.shape[0] * max(batch.inputs.shape[1], batch.source.ids.shape[1])
        if self.training:
            tried.append(size)
            if size > tokens:
                raise error
        return forward(self, batch, objective)

    monkeypatch.setattr(EncoderDecoder, "forward", limited)
    return tried


def test_gradient_is_that_of_the_mean_loss_per_target_token() -> None:
    trained = learner(clip_norm=0)
    before = [value.clone() for value in weights(trained)]
    result = step(trained, lr=0.0)
    assert same(weights(trained), before)  # a learning rate of 0 changes nothing
    tokens = sum(len(target) + 1 for target in TARGETS)
    assert (result.tokens, result.local_tokens, result.applied) == (tokens, tokens, True)
    loss = trained.network(pair_batch(SOURCES, TARGETS, CPU)).loss
    assert result.loss == pytest.approx(loss.item(), rel=1e-5)
    expected = torch.autograd.grad(loss / tokens, list(trained.network.parameters()))
    for found, wanted in zip(gradients(trained), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("tokens", [1, 7, 12, 25, 60, 10_000])
def test_micro_batches_give_the_gradient_of_the_whole_batch(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = learner(), learner()
    expected = step(whole)
    tried = with_memory_for(monkeypatch, 10_000, OutOfMemory())
    found = step(parts, micro_batch_tokens=tokens)
    assert found.tokens == expected.tokens
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)
    for one, other in zip(gradients(parts), gradients(whole), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    for one, other in zip(weights(parts), weights(whole), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=0)
    longest = [max(len(source), len(target)) + 1 for source, target in zip(SOURCES, TARGETS, strict=True)]
    assert len(tried) == len(cut_batches(np.array(longest), np.arange(len(longest)), tokens))
    assert all(size <= max(tokens, *longest) for size in tried)


@pytest.mark.parametrize(
    "error",
    [OutOfMemory("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()],
)
def test_out_of_memory_shrinks_micro_batches_until_they_fit(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        tried = with_memory_for(patch, 30, error)
        split = learner()
        size = 0
        for _ in range(3):
            size = step(split, micro_batch_tokens=size).micro_batch_tokens
    assert tried[0] > 30
    assert 0 < size < tried[0]
    assert max(tried[-5:]) <= 30
    small = learner()
    for _ in range(3):
        step(small, micro_batch_tokens=size)
    assert same(weights(split), weights(small))  # failed micro-batches leave nothing in the gradients


def test_out_of_memory_in_a_later_micro_batch_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    forward, count = EncoderDecoder.forward, [0]

    def third_fails(self: EncoderDecoder, batch: Batch, objective: Objective = NLL) -> Any:
        count[0] += 1
        if count[0] == 3:
            raise OutOfMemory
        return forward(self, batch, objective)

    whole, parts = learner(), learner()
    expected = step(whole)
    monkeypatch.setattr(EncoderDecoder, "forward", third_fails)
    found = step(parts, micro_batch_tokens=40)
    assert 0 < found.micro_batch_tokens < 40
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    for one, other in zip(gradients(parts), gradients(whole), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_single_sentence_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory_for(monkeypatch, 11, OutOfMemory())
    with pytest.raises(ResourceError, match="out of memory with a single sentence of 12 tokens") as refused:
        step(learner())
    assert "data.filters" in (refused.value.hint or "")


def test_other_errors_are_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = with_memory_for(monkeypatch, 11, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        step(learner())
    assert len(tried) == 1


def test_training_continues_after_running_out_of_memory(
    tiny_train: Callable[..., Version], interrupted_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        with_memory_for(patch, 90, OutOfMemory())
        directory = interrupted_run(after=6)
        found = resume(directory.name, wait=0)
    text = (directory / "metrics.jsonl").read_text()
    (line,) = (line for line in text.splitlines() if "out of memory" in line)
    assert "out of memory in update 1: retried with" in (directory / "log.txt").read_text()
    size = int(line.rpartition(": ")[2].rstrip("}"))
    assert 0 < size <= 90
    small = tiny_train(f"training.micro_batch_tokens={size}", name="small")
    assert found.files["weights.safetensors"] == small.files["weights.safetensors"]


def test_training_ends_if_a_single_sentence_does_not_fit(
    tiny_train: Callable[..., Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory_for(monkeypatch, 3, OutOfMemory())
    with pytest.raises(ResourceError, match="single sentence") as refused:
        tiny_train()
    assert "s2s resume again-" in (refused.value.hint or "")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_nonfinite_gradient_skips_the_step(wrong: float) -> None:
    trained = learner()
    step(trained)
    before = [value.clone() for value in weights(trained)]
    moments = {name: value.clone() for name, value in trained.optimizer.state[trained.parameters[0]].items()}
    hook = trained.parameters[0].register_hook(lambda gradient: gradient * wrong)
    result = step(trained)
    hook.remove()
    assert not result.applied
    assert not np.isfinite(result.gradient_norm)
    assert same(weights(trained), before)
    for name, value in trained.optimizer.state[trained.parameters[0]].items():
        assert torch.equal(value, moments[name])
    assert step(trained).applied  # the failed step leaves nothing behind


def test_skipped_steps_are_counted_and_logged(
    tiny_train: Callable[..., Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = [0]

    def broken(trained: Learner, *sentences: Any, **values: Any) -> StepResult:
        count[0] += 1
        hook = trained.parameters[0].register_hook(lambda gradient: gradient * (torch.nan if count[0] in {3, 7} else 1))
        try:
            return train_step_within_memory(trained, *sentences, **values)
        finally:
            hook.remove()

    monkeypatch.setattr(trainer, "train_step_within_memory", broken)
    version = tiny_train()
    assert version.card.training.skipped == 2
    (directory,) = runs_directory().glob("again-*")
    assert read_run(directory).record.published == "again:1"
    log = (directory / "log.txt").read_text()
    assert "update 3 skipped" in log
    assert "lines of the skipped update: " in log


@pytest.mark.parametrize("clip", [0.05, 0.5, 100.0])
def test_gradient_clipping_follows_its_equation(clip: float) -> None:
    free, clipped = learner(clip_norm=0), learner(clip_norm=clip)
    found = step(clipped)
    step(free)
    square = 0.0
    for gradient in gradients(free):
        for value in gradient.flatten().tolist():
            square += value * value
    assert found.gradient_norm == pytest.approx(square**0.5, rel=1e-4)
    for one, other in zip(gradients(clipped), gradients(free), strict=True):
        torch.testing.assert_close(one, other * min(1.0, clip / square**0.5), atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_word_dropout_replaces_a_fraction_of_input_tokens(rate: float) -> None:
    torch.manual_seed(1)
    draw = np.random.default_rng(1)
    sources, targets = ([draw.integers(4, V, length).tolist() for length in draw.integers(1, 30, 400)] for _ in "st")
    batch = pair_batch(sources, targets, CPU)
    found = with_word_dropout(batch, rate)
    assert torch.equal(found.labels, batch.labels)
    assert torch.equal(found.source.lengths, batch.source.lengths)
    for read, given in ((found.source.ids, batch.source.ids), (found.inputs, batch.inputs)):
        special = (given == PAD) | (given == BOS) | (given == EOS)
        assert torch.equal(read[special], given[special])
        replaced = read != given
        assert (read[replaced] == UNK).all()
        count = int((~special).sum())
        assert abs(int(replaced.sum()) - rate * count) < 4 * (count * rate * (1 - rate)) ** 0.5
    dropped = [(read == UNK).sum(1) for read in (found.source.ids, found.inputs)]
    assert not torch.equal(*dropped)  # each side for itself
    assert with_word_dropout(batch, 0.0) is batch


def test_word_dropout_only_in_training(tiny_train: Callable[..., Version]) -> None:
    version = tiny_train("training.word_dropout=0.7", "training.stop_after=4 updates")
    translator = reference_translator(version, CPU)
    (directory,) = runs_directory().glob("again-*")
    corpus = Corpus.open(next(path for path in (directory.parents[1] / "corpora").iterdir() if path.is_dir()))
    split = corpus.split("validation")
    forced = forced_score(translator.engine.model, *split.encoded(range(len(split))), CPU)
    (line,) = read_run(directory).metrics.validation
    assert line["loss"] == pytest.approx(forced.nll / forced.tokens, rel=1e-5)
    plain = tiny_train("training.stop_after=4 updates", name="plain")
    assert plain.files["weights.safetensors"] != version.files["weights.safetensors"]
