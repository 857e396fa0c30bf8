"""The penalty for uneven attention, against a loop over positions, in every decoder with attention."""

import pytest
import torch
from networks import network, pairs, source

from s2s.models.interface import BOS, EOS, PAD, Objective

V, WEIGHT = 13, 0.7


@pytest.mark.parametrize("name", ["attention", "luong", "transformer", "decoder only"])
def test_coverage_penalty_is_the_papers_equation(name: str) -> None:
    torch.manual_seed(1)
    model = network(name, V)
    given = source(V)
    targets = [[5, 6, 7, EOS], [8, EOS], [9, 5, EOS]]
    labels = torch.tensor([target + [PAD] * (4 - len(target)) for target in targets])
    inputs = torch.tensor([[BOS, *target[:-1]] + [PAD] * (4 - len(target)) for target in targets])
    batch = pairs(given, inputs, labels)
    plain = model(batch).loss
    penalized = model(batch, Objective(attention_coverage=WEIGHT)).loss

    attention = model.decoder(model.encode(given), inputs, need_attention=True).attention
    expected = 0.0
    for b, target in enumerate(targets):
        S = int(given.lengths[b])
        for i in range(S):
            expected += (len(target) / S - sum(attention[b, t, i] for t in range(len(target)))) ** 2
    torch.testing.assert_close(penalized - plain, WEIGHT * expected)

    parameters = list(model.parameters())
    found, wanted = (
        torch.autograd.grad(loss, parameters, materialize_grads=True) for loss in (penalized - plain, WEIGHT * expected)
    )
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)


def test_two_passes_share_the_penalty() -> None:
    model = network("attention", V)
    batch = pairs(source(V), torch.tensor([[BOS, 5]] * 3), torch.tensor([[5, EOS]] * 3))
    once, twice = (model(batch, Objective(r_drop=alpha, attention_coverage=WEIGHT)) for alpha in (0.0, 1.0))
    torch.testing.assert_close(once.loss, twice.loss)  # without dropout, both passes are the same
