"""Dropout by random bytes, as on a CPU, and by PyTorch's fused kernel, as on a GPU."""

from dataclasses import replace

import pytest
import torch

from s2s.devices.runtime import tuning
from s2s.models import dropout
from s2s.models.dropout import Dropout

CPU = tuning("cpu")
pytestmark = pytest.mark.usefixtures("method")


@pytest.fixture(params=["bytes", "fused"])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = replace(CPU, byte_dropout=request.param == "bytes")
    monkeypatch.setattr(dropout, "tuning", lambda kind: chosen)


def test_share_and_scale() -> None:
    torch.manual_seed(1)
    values = torch.ones(100, 1001, requires_grad=True)
    dropped = Dropout(0.25)(values)
    assert abs(dropped.eq(0).float().mean().item() - 0.25) < 0.01
    assert dropped[dropped > 0].eq(256 / 192).all()
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


@pytest.mark.parametrize("probability", [0.0005, 0.001, 0.25, 0.5, 0.995, 0.999, 1 - 1e-12])
def test_probabilities_near_zero_and_one(probability: float) -> None:
    torch.manual_seed(1)
    values = torch.ones(3000, 1001, requires_grad=True)
    dropped = Dropout(probability)(values)
    share = (probability * (1 - probability) / values.numel()) ** 0.5
    rounding = 0.05 * min(probability, 1 - probability) + 2 / 65_536
    assert abs(dropped.eq(0).float().mean().item() - probability) < 5 * share + rounding
    assert dropped.isfinite().all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.1) or probability > 0.9999
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())
    assert Dropout(1e-9).dropped > 0


def test_nothing_is_dropped_while_evaluating_or_at_zero() -> None:
    values = torch.randn(3, 5)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_the_seed_decides_the_mask() -> None:
    values = torch.ones(7, 9)
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5)(values))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_variational_dropout_is_the_same_at_every_step() -> None:
    torch.manual_seed(3)
    values = torch.ones(5, 7, 11, requires_grad=True)
    dropped = Dropout(0.5, variational=True)(values)
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert dropped[0].eq(0).any()
    assert dropped[0].eq(2).any()
    assert not torch.equal(dropped[0, 0], dropped[0, 1])
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())
