"""Learning rate and the optimizer's state."""

import pytest
import torch

from s2s.recipe.schema import TrainingOptions
from s2s.training.optimizer import build_optimizer, learning_rate, optimizer_tensors, restore_optimizer


def test_the_learning_rate_rises_and_falls() -> None:
    options = TrainingOptions(lr=0.4, warmup=4, decay="linear")
    assert [learning_rate(options, update, 0.0) for update in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert learning_rate(options, 10, 0.75) == pytest.approx(0.1)
    assert learning_rate(options.model_copy(update={"decay": "none"}), 10, 0.75) == pytest.approx(0.4)
    assert learning_rate(options.model_copy(update={"warmup": 0}), 0, 0.0) == pytest.approx(0.4)


def test_the_state_comes_back() -> None:
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
    restore_optimizer(other, {key: value.clone() for key, value in optimizer_tensors(one).items()})
    step(first, one)
    step(second, other)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_vectors_do_not_decay() -> None:
    groups = build_optimizer(torch.nn.Linear(3, 5), TrainingOptions(weight_decay=0.1)).param_groups
    assert [(group["weight_decay"], [p.dim() for p in group["params"]]) for group in groups] == [(0.1, [2]), (0.0, [1])]
