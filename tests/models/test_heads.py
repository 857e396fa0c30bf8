"""The chunked loss against torch's cross-entropy, its gradients included."""

from dataclasses import replace

import pytest
import torch
from networks import network, pairs, source

from s2s.devices.runtime import tuning
from s2s.models import heads as module
from s2s.models.heads import ProjectedLoss
from s2s.models.interface import BOS, EOS, PAD, Objective

N, D, V = 11, 5, 13


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [4, 1024])
def test_loss_and_gradients_are_cross_entropys(smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "tuning", lambda _: replace(tuning("cpu"), loss_rows=chunk))
    torch.manual_seed(1)
    labels = torch.randint(V, (N,))
    given = [torch.randn(N, D), torch.randn(V, D), torch.randn(V)]
    ours = [tensor.clone().requires_grad_() for tensor in given]
    theirs = [tensor.clone().requires_grad_() for tensor in given]
    loss, nll = ProjectedLoss.apply(*ours, labels, smoothing, 0.0, True)
    logits = theirs[0] @ theirs[1].t() + theirs[2]
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, torch.nn.functional.cross_entropy(logits, labels, reduction="sum").detach())
    (3 * loss).backward()
    (3 * expected).backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("chunk", [4, 1024])
def test_r_drop_is_the_papers_equation(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "tuning", lambda _: replace(tuning("cpu"), loss_rows=chunk))
    torch.manual_seed(2)
    labels, alpha, smoothing = torch.randint(V, (N,)), 0.7, 0.1
    given = [torch.randn(*shape, dtype=torch.float64) for shape in ((2 * N, D), (V, D), (V,))]
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in given] for _ in range(2))
    loss, nll = ProjectedLoss.apply(*ours, labels, smoothing, alpha, True)
    first, second = (theirs[0] @ theirs[1].t() + theirs[2]).chunk(2)
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(N):
        one, other = first[row], second[row]
        for logits in (one, other):
            expected = expected + torch.nn.functional.cross_entropy(logits, labels[row], label_smoothing=smoothing)
        p, q = one.softmax(0), other.softmax(0)
        expected = expected + alpha / 2 * ((p * (p / q).log()).sum() + (q * (q / p).log()).sum())
    torch.testing.assert_close(loss, expected / 2)
    both = torch.cat((first, second)).detach()
    torch.testing.assert_close(nll, torch.nn.functional.cross_entropy(both, labels.repeat(2), reduction="sum") / 2)
    loss.backward()
    (expected / 2).backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)
    assert torch.autograd.gradcheck(
        lambda *tensors: ProjectedLoss.apply(*tensors, labels, smoothing, alpha, True)[0], tuple(ours)
    )


def test_r_drop_passes_a_batch_twice() -> None:
    model = network("attention", V)
    ids = torch.tensor([[BOS, 5, PAD], [BOS, 6, 8], [BOS, 7, PAD]])
    batch = pairs(source(V), ids, torch.tensor([[5, EOS, PAD], [6, 8, EOS], [7, EOS, PAD]]))
    plain, twice = model(batch), model(batch, Objective(r_drop=3.0))
    torch.testing.assert_close(twice.loss, plain.loss)  # without dropout, both passes are the same
    torch.testing.assert_close(twice.nll, plain.nll)
    assert twice.tokens == plain.tokens == 7


def test_large_logits_stay_finite() -> None:
    hidden = torch.tensor([[200.0]], requires_grad=True)
    loss, _ = ProjectedLoss.apply(
        hidden, torch.tensor([[1.0], [-1.0]]), torch.zeros(2), torch.tensor([1]), 0.1, 0.0, True
    )
    torch.testing.assert_close(loss, torch.tensor(0.9 * 400 + 0.1 * 200))


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_gradients_are_computed_only_in_training(guard: type, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []
    apply = ProjectedLoss.apply
    monkeypatch.setattr(ProjectedLoss, "apply", lambda *given: requested.append(given[-1]) or apply(*given))
    model, ids = network("attention", V), torch.tensor([[BOS, 5], [BOS, 6], [BOS, 7]])
    batch = pairs(source(V), ids, torch.tensor([[5, EOS], [6, EOS], [7, EOS]]))
    trained = model(batch)
    with guard():
        validated = model(batch)
    assert requested == [True, False]
    assert validated.loss.equal(trained.loss.detach())
    assert not validated.loss.requires_grad
    trained.loss.backward()
    assert model.weight.grad is not None


def test_without_gradients_no_gradient_product_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.torch, "mm", lambda *given, **more: pytest.fail("computed a gradient"))
    hidden, weight, bias = (torch.randn(*shape, requires_grad=True) for shape in ((N, D), (V, D), (V,)))
    with torch.no_grad():
        ProjectedLoss.apply(hidden, weight, bias, torch.randint(V, (N,)), 0.1, 0.0, False)
