"""Learning rate, frozen parameters, and optimizer state."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_tensors

from s2s.errors import UsageError
from s2s.models.build import build_model
from s2s.recipe.load import load_recipe
from s2s.recipe.training import TrainingOptions
from s2s.registry.version import Version
from s2s.training.lr_schedule import learning_rate
from s2s.training.optimizer import build_optimizer, optimizer_tensors, restore_optimizer
from s2s.training.runs.lifecycle import resume
from s2s.training.runs.record import read_run, runs_directory


def test_learning_rate_warms_up_and_decays() -> None:
    options = TrainingOptions(lr=0.4, warmup=4, lr_schedule="linear")
    assert [learning_rate(options, update, 0.0) for update in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert learning_rate(options, 10, 0.75) == pytest.approx(0.1)
    assert learning_rate(options.model_copy(update={"lr_schedule": "none"}), 10, 0.75) == pytest.approx(0.4)
    assert learning_rate(options.model_copy(update={"warmup": 0}), 0, 0.0) == pytest.approx(0.4)


def test_optimizer_state_round_trip() -> None:
    def model() -> torch.nn.Module:
        torch.manual_seed(1)
        return torch.nn.Linear(3, 5)

    def step(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        network(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()

    options = TrainingOptions(lr=0.1, weight_decay=0.01)
    first, second = model(), model()
    one, other = build_optimizer(first, options), build_optimizer(second, options)
    step(first, one)
    second.load_state_dict(first.state_dict())
    tensors = optimizer_tensors(one, first)
    assert set(tensors) == {f"{name}.{key}" for name in ("weight", "bias") for key in ("step", "exp_avg", "exp_avg_sq")}
    restore_optimizer(other, second, tensors)
    step(first, one)
    step(second, other)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_no_weight_decay_on_vectors() -> None:
    groups = build_optimizer(torch.nn.Linear(3, 5), TrainingOptions(weight_decay=0.1)).param_groups
    assert [(group["weight_decay"], [p.dim() for p in group["params"]]) for group in groups] == [(0.1, [2]), (0.0, [1])]


def options(**values: Any) -> TrainingOptions:
    return TrainingOptions(lr=0.4, warmup=4, **values)


def test_cosine_is_half_a_period() -> None:
    for update in range(20):
        done = update / 20
        expected = 0.4 * min(1, (update + 1) / 4) * 0.5 * (1 + math.cos(math.pi * done))
        assert learning_rate(options(lr_schedule="cosine"), update, done) == pytest.approx(expected)
    assert learning_rate(options(lr_schedule="cosine"), 20, 1.0) == pytest.approx(0)


def test_inverse_sqrt_matches_the_transformer_paper() -> None:
    for update in range(20):
        number = update + 1
        expected = 0.4 * 4**0.5 * min(number**-0.5, number * 4**-1.5)  # Vaswani et al. 2017, scaled to peak at lr
        assert learning_rate(options(lr_schedule="inverse_sqrt"), update, 0.9) == pytest.approx(expected)


@pytest.mark.parametrize("decay", ["none", "plateau"])
def test_none_and_plateau_stay_constant_after_warmup(decay: str) -> None:
    found = [learning_rate(options(lr_schedule=decay), update, update / 9) for update in range(9)]
    assert found == pytest.approx([0.1, 0.2, 0.3] + [0.4] * 6)


def rates(directory: Path) -> list[float]:
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [line["lr"] for line in lines if line["kind"] == "training"]


def test_training_follows_the_schedule(tiny_train: Callable[..., Version]) -> None:
    tiny_train("training.lr_schedule=linear", "training.warmup=3", "training.lr=0.012", "training.log_every=1")
    (directory,) = runs_directory().glob("again-*")
    expected = [0.012 * min(1, (update + 1) / 3) * (1 - update / 12) for update in range(12)]
    assert rates(directory) == pytest.approx(expected)


@pytest.mark.parametrize("resumed", [False, True])
def test_plateau_halves_the_learning_rate(
    resumed: bool, tiny_train: Callable[..., Version], interrupted_run: Callable[..., Path]
) -> None:
    settings = ["lr_schedule=plateau", "plateau_patience=2", "warmup=0", "lr=1e-12", "log_every=1"]
    settings = [f"training.{setting}" for setting in [*settings, "validate_every=2 updates"]]
    if resumed:
        resume(interrupted_run(*settings, after=8).name, wait=False)
    else:
        tiny_train(*settings)
    (directory,) = runs_directory().glob("again-*")
    losses = [line["loss"] for line in read_run(directory).metrics.validation]
    assert len(losses) == 6
    assert set(losses) == {losses[0]}  # the rate is too small to change anything
    lines = read_run(directory).metrics.training
    assert [line["lr"] for line in lines] == pytest.approx([1e-12] * 6 + [5e-13] * 4 + [2.5e-13] * 2, rel=1e-6, abs=0)
    assert "no improvement: learning rate halved, to 0.5 of its initial value" in (directory / "log.txt").read_text()


def test_frozen_parameters_do_not_change(tiny_train: Callable[..., Version], tiny: list[str]) -> None:
    version = tiny_train('training.freeze=["encoder.*", "*.bias"]')
    recipe = load_recipe("numbers/attention", tiny)
    torch.manual_seed(recipe.training.seed)
    begun = build_model(recipe.model, recipe.tokenizer.vocab_size).weights()
    trained = load_tensors(version.read("weights.safetensors"))
    same = {name for name, value in trained.items() if torch.equal(value, begun[name])}
    assert same == {name for name in begun if name.startswith("encoder.") or name.endswith(".bias")}
    assert 0 < len(same) < len(begun)


@pytest.mark.parametrize(
    ("patterns", "message", "hint"),
    [
        ('["encoder.*", "decodr.*"]', "no parameter matches decodr.*", "encoder*, decoder*"),
        ('["*"]', "every parameter is frozen", ""),
    ],
)
def test_invalid_freeze_patterns_are_refused_before_the_run(
    patterns: str, message: str, hint: str, tiny_train: Callable[..., Version]
) -> None:
    with pytest.raises(UsageError) as refused:
        tiny_train(f"training.freeze={patterns}")
    assert message in refused.value.message
    assert hint in (refused.value.hint or "")
    assert not list(runs_directory().glob("again-*"))
