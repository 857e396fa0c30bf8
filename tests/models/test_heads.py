"""The chunked loss against torch's cross-entropy, its gradients included."""

import pytest
import torch

from s2s.models import heads as module
from s2s.models.heads import ProjectedLoss

N, D, V = 11, 5, 13


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [4, 1024])
def test_loss_and_gradients_are_cross_entropys(smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    torch.manual_seed(1)
    labels = torch.randint(V, (N,))
    given = [torch.randn(N, D), torch.randn(V, D), torch.randn(V)]
    ours = [tensor.clone().requires_grad_() for tensor in given]
    theirs = [tensor.clone().requires_grad_() for tensor in given]
    loss, nll = ProjectedLoss.apply(*ours, labels, smoothing)
    logits = theirs[0] @ theirs[1].t() + theirs[2]
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, torch.nn.functional.cross_entropy(logits, labels, reduction="sum").detach())
    (3 * loss).backward()
    (3 * expected).backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_large_logits_stay_finite() -> None:
    hidden = torch.tensor([[200.0]], requires_grad=True)
    loss, _ = ProjectedLoss.apply(hidden, torch.tensor([[1.0], [-1.0]]), torch.zeros(2), torch.tensor([1]), 0.1)
    torch.testing.assert_close(loss, torch.tensor(0.9 * 400 + 0.1 * 200))
