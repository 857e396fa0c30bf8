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
    found = [learning_rate(options, update, update / 10, 0.4) for update in range(11)]
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4] + [0.4 * (1 - (update - 4) / 6) for update in range(4, 11)])
    assert learning_rate(options.model_copy(update={"lr_schedule": "none"}), 10, 0.75, 0.4) == pytest.approx(0.4)
    assert learning_rate(options.model_copy(update={"warmup": 0}), 0, 0.0, 0.0) == pytest.approx(0.4)
    assert learning_rate(options, 4, 1.0, 1.0) == 0  # warm-up took the whole training


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


@pytest.mark.parametrize("settings", [["model.encoder.cell=lstm"], ["model.encoder.family=transformer"]])
def test_no_weight_decay_on_biases_and_vectors(settings: list[str]) -> None:
    network = build_model(load_recipe("numbers/attention", settings).model, 60)
    names = {parameter: name for name, parameter in network.named_parameters()}
    decayed, others = build_optimizer(network, TrainingOptions(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert {names[parameter] for parameter in others["params"]} == {
        name for parameter, name in names.items() if name.endswith("bias") or parameter.dim() == 1
    }
    assert any(parameter.dim() > 1 for parameter in others["params"]) == ("lstm" in settings[0])


def options(**values: Any) -> TrainingOptions:
    return TrainingOptions(lr=0.4, warmup=4, **values)


def test_cosine_is_half_a_period() -> None:
    for update in range(20):
        expected = 0.4 * min((update + 1) / 4, 0.5 * (1 + math.cos(math.pi * max(0, update - 4) / 16)))
        assert learning_rate(options(lr_schedule="cosine"), update, update / 20, 0.2) == pytest.approx(expected)
    assert learning_rate(options(lr_schedule="cosine"), 20, 1.0, 0.2) == pytest.approx(0)


def test_inverse_sqrt_matches_the_transformer_paper() -> None:
    for update in range(20):
        number = update + 1
        expected = 0.4 * 4**0.5 * min(number**-0.5, number * 4**-1.5)  # Vaswani et al. 2017, scaled to peak at lr
        assert learning_rate(options(lr_schedule="inverse_sqrt"), update, 0.9, 0.2) == pytest.approx(expected)


@pytest.mark.parametrize("decay", ["none", "plateau"])
def test_none_and_plateau_stay_constant_after_warmup(decay: str) -> None:
    found = [learning_rate(options(lr_schedule=decay), update, update / 9, 1 / 3) for update in range(9)]
    assert found == pytest.approx([0.1, 0.2, 0.3] + [0.4] * 6)


def rates(directory: Path) -> list[float]:
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [line["lr"] for line in lines if line["kind"] == "training"]


@pytest.mark.parametrize("unit", ["updates", "tokens", "epochs"])
def test_training_follows_the_schedule(unit: str, tiny_train: Callable[..., Version]) -> None:
    settings = ["lr_schedule=linear", "warmup=3", "lr=0.012", "log_every=1"]
    limit = {"updates": "12 updates", "tokens": "3000 tokens", "epochs": "1 epoch"}[unit]
    tiny_train(*(f"training.{setting}" for setting in [*settings, f"stop_after={limit}"]))
    (directory,) = runs_directory().glob("again-*")
    found = rates(directory)
    assert found[:4] == pytest.approx([0.004, 0.008, 0.012, 0.012])
    assert max(found) == 0.012
    if unit == "tokens":  # batches differ
        assert found[3:] == sorted(found[3:], reverse=True)
    else:
        assert found[3:] == pytest.approx([0.012 * (1 - update / (len(found) - 3)) for update in range(len(found) - 3)])


def test_a_resumed_run_keeps_the_end_of_its_warmup(
    tiny_train: Callable[..., Version], interrupted_run: Callable[..., Path]
) -> None:
    settings = [f"training.{setting}" for setting in ("warmup=3", "lr=0.012", "log_every=1", "stop_after=12 updates")]
    resume(interrupted_run(*settings, after=8).name, wait=0)
    (directory,) = runs_directory().glob("again-*")
    found = [line["lr"] for line in read_run(directory).metrics.training]
    assert found[8:] == pytest.approx([0.012 * (1 - update / 9) for update in range(5, 9)])


@pytest.mark.parametrize("resumed", [False, True])
def test_plateau_halves_the_learning_rate(
    resumed: bool, tiny_train: Callable[..., Version], interrupted_run: Callable[..., Path]
) -> None:
    settings = ["lr_schedule=plateau", "plateau_patience=2", "warmup=0", "lr=1e-12", "log_every=1"]
    settings = [f"training.{setting}" for setting in [*settings, "validate_every=2 updates"]]
    if resumed:
        resume(interrupted_run(*settings, after=8).name, wait=0)
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


def test_the_output_bias_may_be_all_that_is_trained(tiny_train: Callable[..., Version]) -> None:
    version = tiny_train('training.freeze=["encoder.*", "decoder.*", "weight"]', "training.stop_after=2 updates")
    assert version.card.training.skipped == 0


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
