"""Compare the CTranslate2 engine with PyTorch: same tokens, scores and attention."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from publishing import publish
from torch import nn

from s2s.decoding.config import TranslatorConfig
from s2s.decoding.ctranslate2_conversion import convert
from s2s.decoding.ctranslate2_engine import CTranslate2Engine
from s2s.decoding.engine import DecodingInput, Hypothesis, Request
from s2s.decoding.loading import load_translator
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.models.build import build_model
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.text.tokenizer import EOS, Tokenizer

Search = Callable[..., list[list[Hypothesis]]]
RECIPE = {
    "name": "tiny",
    "data": {"kind": "generator"},
    "model": {
        "embedding_size": 12,
        "encoder": {"family": "transformer", "layers": 1, "heads": 2},
        "decoder": {"family": "transformer", "layers": 1, "heads": 2},
    },
}
LETTERS = random.Random(2)
LINES = ["".join(LETTERS.choices("abcdefgh ", k=LETTERS.randrange(1, 25))).strip() or "a" for _ in range(40)]


@pytest.fixture
def published(transformer: dict[str, bytes], card: Card) -> None:
    publish(Registry.default(), "numbers-transformer", transformer, card)


@pytest.fixture
def searched(published: None) -> Search:
    """Search LINES with an engine in fp32."""

    def search(
        engine: str, *, nbest: int = 1, need_attention: bool = False, **options: object
    ) -> list[list[Hypothesis]]:
        config = TranslatorConfig(["numbers-transformer"], "test", engine=engine, precision="fp32", decoding=options)  # type: ignore[arg-type]
        with load_translator(config) as translator:
            assert engine in translator.engine.describe().lower()
            return translator.start(LINES, nbest=nbest, need_attention=need_attention).search.result()

    return search


@pytest.mark.parametrize(
    ("nbest", "options"),
    [
        (1, {"beam_size": 1, "max_ratio": 1.0}),
        (5, {"beam_size": 5, "max_ratio": 1.0}),
        (2, {"beam_size": 3, "max_ratio": 1.0, "patience": 1.0, "length_penalty": 0.5}),
        (1, {"beam_size": 4, "max_ratio": 1.0, "length_penalty": 0.0}),
        (3, {"beam_size": 3, "max_ratio": 2.0, "no_repeat_ngram": 2}),
        (2, {"beam_size": 2, "max_ratio": 1.0, "batch_tokens": 1}),
        (1, {"beam_size": 12, "max_ratio": 0.5}),
        (1, {"beam_size": 12, "max_ratio": 1.5, "patience": 1.5}),
        (12, {"beam_size": 12, "max_ratio": 1.0}),
    ],
)
def test_engines_agree(searched: Search, nbest: int, options: dict[str, object]) -> None:
    searches = (searched(engine, nbest=nbest, **options) for engine in ("pytorch", "ctranslate2"))
    for one, other in zip(*searches, strict=True):
        assert [h.tokens for h in one] == [h.tokens for h in other]
        assert [h.truncated for h in one] == [h.truncated for h in other]
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-4)
        assert [h.log_probability for h in one] == pytest.approx([h.log_probability for h in other], abs=1e-3)


@pytest.mark.parametrize("beam_size", [5, 12])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_limits_of_a_batch_differ(
    transformer: dict[str, bytes], tmp_path: Path, beam_size: int, length_penalty: float
) -> None:
    tokenizer, recipe = Tokenizer(transformer["tokenizer.model"]), Recipe.model_validate(RECIPE)
    torch.manual_seed(4)
    network = build_model(recipe.model, tokenizer.size).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert network.bias is not None
    network.bias.data[EOS] = 1.5  # some sentences end
    convert({name: value.numpy() for name, value in network.weights().items()}, tokenizer, recipe, tmp_path, "fp32")
    draw = random.Random(1)
    sentences = [
        DecodingInput(draw.choices(range(4, tokenizer.size), k=draw.randint(1, 9)), max_length=draw.randint(1, 7))
        for _ in range(60)
    ]
    request = Request(sentences, DecodingOptions(beam_size=beam_size, length_penalty=length_penalty))
    engines = (
        PyTorchEngine(network, torch.device("cpu")),
        CTranslate2Engine(tmp_path, tokenizer, "cpu", "fp32", "float32"),
    )
    one, other = (
        [[(h.tokens, h.truncated) for h in found] for found in engine.start(request).result()] for engine in engines
    )
    assert 0 < sum(truncated for ((_, truncated),) in one) < len(sentences)
    assert one == other


def test_most_translations_reach_their_own_limit(searched: Search) -> None:
    assert sum(h.truncated for (h,) in searched("ctranslate2", beam_size=1, max_ratio=1.0)) > 30  # of different lengths


@pytest.mark.parametrize("beam_size", [1, 3])
def test_attention_agrees(searched: Search, beam_size: int) -> None:
    options = {"beam_size": beam_size, "max_ratio": 0.5, "length_penalty": 0.0}
    pairs = zip(
        *(searched(engine, need_attention=True, **options) for engine in ("pytorch", "ctranslate2")), strict=True
    )
    compared = 0
    for (one,), (other,) in pairs:
        assert one.attention is not None
        assert other.attention is not None
        if one.tokens == other.tokens:
            columns = other.attention.shape[1]
            np.testing.assert_allclose(one.attention[:, :columns], other.attention, atol=1e-4)
            assert not one.attention[:, columns:].any()
            compared += 1
    assert compared > 25
