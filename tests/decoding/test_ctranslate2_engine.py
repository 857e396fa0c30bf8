"""The CTranslate2 engine beside the PyTorch one: the same tokens, scores and need_attention, whatever is asked for."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from publishing import publish

from s2s.decoding.hypothesis import Hypothesis, Request
from s2s.decoding.loading import TranslatorConfig, loaded_translator
from s2s.registry.card import Card
from s2s.registry.store import Registry

Search = Callable[..., list[list[Hypothesis]]]
LETTERS = random.Random(2)
LINES = ["".join(LETTERS.choices("abcdefgh ", k=LETTERS.randrange(1, 25))).strip() or "a" for _ in range(40)]


@pytest.fixture
def published(transformer: dict[str, bytes], card: Card) -> None:
    publish(Registry.default(), "numbers-transformer", transformer, card)


@pytest.fixture
def searched(published: None) -> Search:
    """What an engine, in fp32, makes of LINES."""

    def search(
        engine: str, *, nbest: int = 1, need_attention: bool = False, **options: object
    ) -> list[list[Hypothesis]]:
        config = TranslatorConfig(["numbers-transformer"], "test", engine=engine, precision="fp32", decoding=options)  # type: ignore[arg-type]
        with loaded_translator(config) as translator:
            assert engine in translator.engine.describe().lower()
            tokens = translator.encode(LINES)
            request = Request(tokens, translator.recipe.decoding, nbest=nbest, need_attention=need_attention)
            return translator.engine.begin(request)()

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
    ],
)
def test_both_engines_find_the_same(searched: Search, nbest: int, options: dict[str, object]) -> None:
    # each sentence by itself: in a batch, a search that comes to its limit may go on to that of the longest
    alone = options | {"batch_tokens": 1}
    for one, other in zip(
        searched("pytorch", nbest=nbest, **options), searched("ctranslate2", nbest=nbest, **alone), strict=True
    ):
        assert [h.tokens for h in one] == [h.tokens for h in other]
        assert [h.cut for h in one] == [h.cut for h in other]
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-4)
        assert [h.log_probability for h in one] == pytest.approx([h.log_probability for h in other], abs=1e-3)


def test_limits_are_each_sentences_own_in_a_batch_too(searched: Search) -> None:
    one, other = (searched(engine, beam_size=1, max_ratio=1.0) for engine in ("pytorch", "ctranslate2"))
    assert sum(h.cut for (h,) in one) > 30  # of lines of different lengths
    assert [h.tokens for (h,) in one] == [h.tokens for (h,) in other]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_attention_means_the_same(searched: Search, beam_size: int) -> None:
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
