"""Compare forced decoding with a loop over single sentences, for each family and for ensembles."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import constraints
from torch import nn

from s2s.decoding import forced
from s2s.decoding.beam import BeamSearch
from s2s.decoding.constraints import SUPPRESSED
from s2s.decoding.engine import ForcedSentence
from s2s.decoding.forced import forced_predictions, forced_score, forced_sentences
from s2s.devices.runtime import tuning
from s2s.models.build import build_model
from s2s.models.interface import BOS, EOS, Batch, LossSums, State, StepOutput, TokenInput
from s2s.models.network import Network
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.model import ModelOptions

CPU = torch.device("cpu")
V = 13
SOURCES = [[5, 6, 7, 8], [9], [10, 11, 12], []]
TARGETS = [[8, 7], [9, 9, 9, 9, 9], [], [4, 6, 5]]
BLOCKS = {"family": "transformer", "layers": 2, "heads": 2}
FAMILIES: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "fixed vector": ({"hidden_size": 6}, {"hidden_size": 9, "context": "fixed"}),
    "fixed vector at the start": ({"hidden_size": 6, "cell": "lstm"}, {"hidden_size": 9, "context": "initial"}),
    "attention before the step": ({"hidden_size": 6}, {"hidden_size": 9, "context": "attention"}),
    "attention after it": (
        {"hidden_size": 6},
        {"hidden_size": 9, "context": "attention", "query": "current", "cell": "lstm"},
    ),
    "transformer": (BLOCKS, BLOCKS),
    "transformer decoder": ({"hidden_size": 6}, BLOCKS),
    "decoder only": (None, BLOCKS),
}
ATTENDING = ["attention before the step", "attention after it", "transformer", "transformer decoder", "decoder only"]


def network(family: str, seed: int = 1) -> Network:
    torch.manual_seed(seed)
    encoder, decoder = FAMILIES[family]
    sides = {"encoder": encoder} if encoder else {"architecture": "decoder_only"}
    model = build_model(ModelOptions(embedding_size=8, decoder=decoder, **sides), V).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def sentences(model: Any, sources: list[list[int]], targets: list[list[int]], **options: bool) -> list[ForcedSentence]:
    found = dict(forced_sentences(model, sources, targets, CPU, **options))
    assert sorted(found) == list(range(len(sources)))
    return [found[row] for row in range(len(sources))]


@torch.inference_mode()
def naive(model: Network, source: list[int], target: list[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return logits [T + 1, V] and attention [T + 1, S + 1] of one pair, by teacher forcing."""
    memory = model.encode(TokenInput(torch.tensor([[*source, EOS]]), torch.tensor([len(source) + 1])))
    decoded = model.decoder(memory, torch.tensor([[BOS, *target]]), need_attention=True)
    logits = nn.functional.linear(decoded.hidden[0], model.weight, model.bias)
    return logits, None if decoded.attention is None else decoded.attention[0]


families = pytest.mark.parametrize("family", FAMILIES)
attending = pytest.mark.parametrize("family", ATTENDING)


@families
def test_log_probabilities_predictions_and_score(family: str) -> None:
    model, total = network(family), 0.0
    found, predictions = sentences(model, SOURCES, TARGETS), forced_predictions(model, SOURCES, TARGETS, CPU)
    for source, target, sentence, predicted in zip(SOURCES, TARGETS, found, predictions, strict=True):
        logits, _ = naive(model, source, target)
        for t, token in enumerate([*target, EOS]):
            probability = logits[t, token].exp() / logits[t].exp().sum()
            assert sentence.log_probabilities[t] == pytest.approx(float(probability.log()), abs=1e-5)
        assert sentence.log_probabilities.shape == (len(target) + 1,)
        assert predicted.tolist() == logits.argmax(-1).tolist()
        total -= float(sentence.log_probabilities.sum())
    score = forced_score(model, SOURCES, TARGETS, CPU)
    assert score.tokens == 14
    assert score.nll == pytest.approx(total, rel=1e-5)


@families
def test_batching_changes_nothing(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(family)
    together = sentences(model, SOURCES, TARGETS)
    alone = [sentences(model, [s], [t])[0] for s, t in zip(SOURCES, TARGETS, strict=True)]
    monkeypatch.setattr(forced, "tuning", lambda _: replace(tuning("cpu"), decoding_tokens=10))
    rebatched = sentences(model, SOURCES, TARGETS)
    for one, two, three in zip(together, alone, rebatched, strict=True):
        np.testing.assert_allclose(one.log_probabilities, two.log_probabilities, atol=1e-5)
        np.testing.assert_allclose(one.log_probabilities, three.log_probabilities, atol=1e-5)


@attending
def test_attention_is_the_decoders(family: str) -> None:
    model = network(family)
    for source, target, sentence in zip(
        SOURCES, TARGETS, sentences(model, SOURCES, TARGETS, need_attention=True), strict=True
    ):
        _, expected = naive(model, source, target)
        assert sentence.attention is not None
        assert expected is not None
        assert sentence.attention.shape == (len(target) + 1, len(source) + 1)
        np.testing.assert_allclose(sentence.attention, expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(sentence.attention.sum(1), 1, atol=1e-5)


@families
def test_attention_only_if_needed_and_available(family: str) -> None:
    model = network(family)
    assert all(sentence.attention is None for sentence in sentences(model, SOURCES, TARGETS))
    shown = [sentence.attention is not None for sentence in sentences(model, SOURCES, TARGETS, need_attention=True)]
    assert shown == [family in ATTENDING] * len(SOURCES)


@families
def test_log_probability_equals_that_of_the_search(family: str) -> None:
    model = network(family)
    assert model.bias is not None
    model.bias.data[SUPPRESSED] = -100.0  # suppressed in a search
    lengths = torch.tensor([len(source) + 1 for source in SOURCES])
    ids = torch.tensor([[*source, EOS, 0, 0, 0, 0][:5] for source in SOURCES])
    with torch.inference_mode():
        found = BeamSearch(DecodingOptions(beam_size=3), constraints([9, 8, 7, 9])).run(model, TokenInput(ids, lengths))
    for source, hypotheses in zip(SOURCES, found, strict=True):
        for hypothesis in hypotheses:
            (sentence,) = sentences(model, [source], [hypothesis.tokens])
            values = sentence.log_probabilities[: len(hypothesis.tokens) + (not hypothesis.truncated)]
            assert float(values.sum()) == pytest.approx(hypothesis.log_probability, abs=1e-4)


class Pair:
    """Two networks as one `Model`: the mean of their probabilities and attention, through the interface only."""

    @dataclass(frozen=True)
    class State:
        parts: tuple[Any, Any]

        def select(self, rows: torch.Tensor, beams: torch.Tensor) -> State:
            raise NotImplementedError

    def __init__(self, *models: Network) -> None:
        self.models = models

    def forward(self, batch: Batch) -> LossSums:
        raise NotImplementedError

    def start(self, source: TokenInput, *, max_steps: int) -> "Pair.State":
        first, second = (model.start(source, max_steps=max_steps) for model in self.models)
        return Pair.State((first, second))

    def step(
        self, tokens: torch.Tensor, state: "Pair.State", *, need_attention: bool = False
    ) -> tuple[StepOutput, "Pair.State"]:
        steps, states = zip(
            *(
                model.step(tokens, part, need_attention=need_attention)
                for model, part in zip(self.models, state.parts, strict=True)
            ),
            strict=True,
        )
        mean = sum(step.logits.softmax(-1) for step in steps) / 2
        attention = sum(step.attention for step in steps) / 2 if need_attention else None
        return StepOutput(mean.log(), attention), Pair.State(states)


def test_ensemble_through_the_interface() -> None:
    models = network("attention before the step"), network("transformer", seed=2)
    one, two = (sentences(model, SOURCES, TARGETS, need_attention=True) for model in models)
    for first, second, both in zip(
        one, two, sentences(Pair(*models), SOURCES, TARGETS, need_attention=True), strict=True
    ):
        expected = np.logaddexp(first.log_probabilities, second.log_probabilities) - np.log(2)
        np.testing.assert_allclose(both.log_probabilities, expected, atol=1e-5)
        assert first.attention is not None
        assert second.attention is not None
        np.testing.assert_allclose(both.attention, (first.attention + second.attention) / 2, atol=1e-5)


def test_consumer_is_not_in_inference_mode() -> None:
    for _ in forced_sentences(network("transformer"), SOURCES, TARGETS, CPU):
        assert not torch.is_inference_mode_enabled()
