"""Compare the CTranslate2 engine with PyTorch: same tokens, scores and attention."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from publishing import publish

from s2s.decoding.engine import Hypothesis
from s2s.decoding.loading import TranslatorConfig, load_translator
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
    ],
)
def test_engines_agree(searched: Search, nbest: int, options: dict[str, object]) -> None:
    # one sentence per batch: in CTranslate2, the limit of a batch is that of its longest sentence
    alone = options | {"batch_tokens": 1}
    for one, other in zip(
        searched("pytorch", nbest=nbest, **options), searched("ctranslate2", nbest=nbest, **alone), strict=True
    ):
        assert [h.tokens for h in one] == [h.tokens for h in other]
        assert [h.truncated for h in one] == [h.truncated for h in other]
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-4)
        assert [h.log_probability for h in one] == pytest.approx([h.log_probability for h in other], abs=1e-3)


def test_each_sentence_of_a_batch_has_its_own_limit(searched: Search) -> None:
    one, other = (searched(engine, beam_size=1, max_ratio=1.0) for engine in ("pytorch", "ctranslate2"))
    assert sum(h.truncated for (h,) in one) > 30  # of lines of different lengths
    assert [h.tokens for (h,) in one] == [h.tokens for (h,) in other]


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
