"""Building networks from options."""

from typing import Any

import pytest
import torch
from torch import nn

from s2s.models.build import build_model
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import RnnDecoderOptions, RnnEncoderOptions

V, E, W, H, A = 19, 6, 4, 9, 10


def parameters(tied: str, context: str) -> int:
    options = ModelOptions(
        embedding_size=E,
        tied_embeddings=tied,
        encoder=RnnEncoderOptions(hidden_size=W),
        decoder=RnnDecoderOptions(hidden_size=H, context=context, attention_size=A),
    )
    return sum(parameter.numel() for parameter in build_model(options, V).parameters())


@pytest.mark.parametrize(("tied", "tables"), [("all", 1), ("target", 2), ("none", 3)])
@pytest.mark.parametrize("context", ["fixed", "attention"])
def test_parameters_are_those_of_the_equations(tied: str, tables: int, context: str) -> None:
    D = 2 * W  # both directions
    encoder = 2 * (3 * W * E + 3 * W * W + 2 * 3 * W)  # input, state, two biases, in each direction
    cell = 3 * H * E + 3 * H * D + 3 * H * H + 2 * 3 * H  # input, context, state, two biases
    rest = D * H + H + (H * E + E) + D * E + E * E  # initial state; read-out from state, context, input
    score = A * H + A + A * D + A if context == "attention" else 0  # W, b, U, v
    assert parameters(tied, context) == tables * V * E + V + encoder + cell + rest + score


def test_weights_come_back_and_wrong_ones_are_refused() -> None:
    options = ModelOptions(
        embedding_size=E, encoder=RnnEncoderOptions(hidden_size=W), decoder=RnnDecoderOptions(hidden_size=H)
    )
    first, second = build_model(options, V), build_model(options, V)
    second.load_weights({name: value.clone() for name, value in first.weights().items()})
    for name, value in first.weights().items():
        assert torch.equal(value, second.weights()[name])
    with pytest.raises(ValueError, match="unknown weights: more"):
        second.load_weights(first.weights() | {"more": torch.zeros(1)})
    with pytest.raises(ValueError, match="shape"):
        second.load_weights(first.weights() | {"bias": torch.zeros(V + 1)})


def test_weights_include_buffers_and_shared_parameters_once() -> None:
    options = ModelOptions(
        embedding_size=E, encoder=RnnEncoderOptions(hidden_size=W), decoder=RnnDecoderOptions(hidden_size=H)
    )
    first, second = build_model(options, V), build_model(options, V)
    for model in (first, second):
        model.encoder.norm = nn.BatchNorm1d(2)
        model.encoder.again = model.encoder.norm.weight
        model.encoder.register_buffer("scratch", torch.zeros(2), persistent=False)
    first.encoder.norm(torch.randn(8, 2))
    weights = first.weights()
    assert {name for name in weights if "running" in name} == {
        "encoder.norm.running_mean",
        "encoder.norm.running_var",
    }
    assert len([name for name in weights if name in {"encoder.again", "encoder.norm.weight"}]) == 1
    assert "encoder.scratch" not in weights
    second.load_weights(weights)
    assert torch.equal(second.encoder.norm.running_mean, first.encoder.norm.running_mean)


@pytest.mark.parametrize(
    "sides",
    [
        {
            "encoder": {"cell": "lstm", "hidden_size": 48},
            "decoder": {"hidden_size": 48, "context": "attention", "attention_size": 512},
        },
        {"encoder": {"family": "transformer", "positions": "learned"}, "decoder": {"family": "transformer"}},
    ],
    ids=["rnn", "transformer"],
)
@pytest.mark.parametrize("tied", ["all", "none"])
def test_init_weights_restores_the_distributions(sides: dict[str, Any], tied: str) -> None:
    options = ModelOptions(embedding_size=64, tied_embeddings=tied, **sides)
    torch.manual_seed(1)
    built, drawn = build_model(options, 200), build_model(options, 200)
    for parameter in drawn.parameters():
        nn.init.constant_(parameter, torch.nan)
    drawn.init_weights()
    for (name, first), second in zip(built.named_parameters(), drawn.parameters(), strict=True):
        constant = len(first.unique()) <= 2  # biases; an LSTM forget gate's differs
        assert torch.equal(first, second) if constant else not torch.equal(first, second), name
        assert second.abs().max() <= 1.5 * first.abs().max(), name
        if first.numel() > 1000:  # enough for a close estimate
            torch.testing.assert_close(first.std(), second.std(), rtol=0.1, atol=1e-6, msg=name)
            torch.testing.assert_close(first.mean(), second.mean(), rtol=0, atol=0.02, msg=name)


@pytest.mark.parametrize("side", [{"family": "rnn", "hidden_size": 12}, {"family": "transformer", "layers": 2}])
def test_init_weights_depends_on_the_seed_alone(side: dict[str, Any]) -> None:
    options = ModelOptions(embedding_size=16, tied_embeddings="none", encoder=side, decoder=side)
    models = [build_model(options, 20) for _ in range(2)]
    for model in models:
        torch.manual_seed(1)
        model.init_weights()
    for (name, first), second in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert torch.equal(first, second), name
