"""Ensembles: averaged probabilities, step by step."""

import pytest
import torch
from networks import FAMILIES, B, S, network, pairs, source

from s2s.models.ensemble import Ensemble
from s2s.models.interface import BOS, EOS

V = 13
LABELS = torch.tensor([[5, 6, EOS], [7, EOS, 0], [EOS, 0, 0]])
INPUTS = torch.tensor([[BOS, 5, 6], [BOS, 7, 0], [BOS, 0, 0]])


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_model_with_itself_is_the_model(family: str) -> None:
    model, given = network(family, V), source(V)
    ensemble = Ensemble([model, model, model])
    alone, together = model.start(given, max_steps=4), ensemble.start(given, max_steps=4)
    tokens = torch.full((B, 1), BOS)
    rows, beams = torch.tensor([2, 0, 1]), torch.zeros(3, 2, dtype=torch.long)
    for _ in range(3):
        one, alone = model.step(tokens, alone, need_attention=True)
        all_, following = ensemble.step(tokens, together, need_attention=True)
        torch.testing.assert_close(all_.logits, one.logits.log_softmax(-1))
        assert (one.attention is None) == (all_.attention is None)
        if one.attention is not None:
            torch.testing.assert_close(all_.attention, one.attention)
        alone, together = alone.select(rows, beams), following.select(rows, beams)
        tokens = one.logits.argmax(-1)[rows].expand(3, 2)
        beams = torch.tensor([[0, 1]] * 3)
    batch = pairs(given, INPUTS, LABELS)
    with torch.inference_mode():
        torch.testing.assert_close(ensemble.forward(batch).nll, model.forward(batch).nll)
        assert ensemble.forward(batch).tokens == 6


def test_probabilities_are_averaged() -> None:
    models, given = [network("attention", V, seed) for seed in (1, 2)], source(V)
    tokens = torch.full((B, 1), BOS)
    steps = [model.step(tokens, model.start(given, max_steps=1), need_attention=True)[0] for model in models]
    mean = torch.stack([step.logits.softmax(-1) for step in steps]).mean(0)
    ensemble = Ensemble(models)
    step, _ = ensemble.step(tokens, ensemble.start(given, max_steps=1), need_attention=True)
    torch.testing.assert_close(step.logits.exp(), mean)
    assert step.attention is not None
    assert step.attention.shape == (B, 1, S)
    torch.testing.assert_close(step.attention.sum(-1), torch.ones(B, 1))


def test_weights_are_shown_where_every_member_has_them() -> None:
    ensemble, given = Ensemble([network("attention", V), network("fixed", V)]), source(V)
    step, _ = ensemble.step(torch.full((B, 1), BOS), ensemble.start(given, max_steps=1), need_attention=True)
    assert step.attention is None
