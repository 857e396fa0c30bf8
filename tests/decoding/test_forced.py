"""Forced decoding: choices and likelihoods against a loop over single sentences."""

import torch
from torch import nn

from s2s.decoding.forced import forced_choices, forced_score
from s2s.models.families import build_model
from s2s.models.interface import BOS, EOS
from s2s.recipe.model_options import ModelOptions

CPU = torch.device("cpu")
SOURCES = [[5, 6, 7, 8], [9], [10, 11, 12]]
TARGETS = [[8, 7], [9, 9, 9, 9, 9], []]


def test_choices_and_likelihood_are_those_of_single_sentences() -> None:
    torch.manual_seed(1)
    blocks = {"family": "transformer", "layers": 1, "heads": 2}
    model = build_model(ModelOptions(embedding=8, encoder={"width": 6}, decoder=blocks), 13).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    choices, nll = forced_choices(model, SOURCES, TARGETS, CPU), 0.0
    for source, target, chosen in zip(SOURCES, TARGETS, choices, strict=True):
        ids = torch.tensor([[*source, EOS]])
        memory = model.encoder(ids, torch.tensor([len(source) + 1]))
        hidden = model.decoder(memory, torch.tensor([[BOS, *target]])).hidden[0]
        logits = nn.functional.linear(hidden, model.weight, model.bias)
        assert chosen.tolist() == logits.argmax(-1).tolist()
        nll -= logits.log_softmax(-1).gather(1, torch.tensor([*target, EOS]).unsqueeze(1)).sum().item()
    score = forced_score(model, SOURCES, TARGETS, CPU)
    assert score.pieces == 10
    torch.testing.assert_close(score.nll, nll, rtol=1e-5, atol=0)
