"""Attention of forced references: a row belongs to the token that its step predicts; quality over a test set."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from networks import network
from torch.nn.functional import one_hot

from s2s.data.generators.numbers import numbers_stream
from s2s.data.generators.numbers_alignment import numbers_alignment
from s2s.decoding.attention_quality import attention_quality, forced_attention
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.settings import TranslatorSettings
from s2s.decoding.translator import Translator
from s2s.metrics.alignment import SpanLink
from s2s.models.interface import State, StepOutput, TokenInput
from s2s.recipe.recipe import Recipe
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

VOCABULARY = 110
TEXTS = ["zwei", "12. März 1999 ; elf", "", "einundzwanzig", "vierhundert"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    recipe = Recipe.model_validate(
        {"name": "x", "data": {"kind": "generator"}, "tokenizer": {"vocab_size": VOCABULARY}}
    )
    lines = itertools.chain.from_iterable(itertools.islice(numbers_stream(1, 1, 2), 300))
    return Tokenizer(train_tokenizer(lines, recipe.tokenizer))


def translator(tokenizer: Tokenizer, model: Any) -> Translator[PyTorchEngine]:
    settings = TranslatorSettings.of(Recipe.model_validate({"name": "x", "data": {"kind": "generator"}}))
    return Translator(PyTorchEngine(model, torch.device("cpu")), tokenizer, settings)


class Copier:
    """Predict at each step the source token that has the attention: that of the step, or `shift` positions later."""

    @dataclass(frozen=True)
    class State:
        ids: torch.Tensor
        position: int

        def select(self, rows: torch.Tensor | None, beams: torch.Tensor) -> State:
            raise NotImplementedError

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def start(self, source: TokenInput, *, max_steps: int) -> "Copier.State":
        return Copier.State(source.ids, self.shift)

    def step(
        self, tokens: torch.Tensor, state: "Copier.State", *, need_attention: bool = False
    ) -> tuple[StepOutput, "Copier.State"]:
        S = state.ids.shape[1]
        attention = one_hot(torch.tensor(state.position % S), S).float().expand(len(state.ids), 1, S)
        predicted = state.ids[:, state.position % S].unsqueeze(1)
        return StepOutput(100.0 * one_hot(predicted, VOCABULARY).float(), attention), Copier.State(
            state.ids, state.position + 1
        )


def copied(source: str, target: str) -> list[SpanLink] | None:
    return [SpanLink((at, at + 1), (at, at + 1), True) for at in range(len(target))] if source == target else None


def test_rows_belong_to_the_tokens_that_their_steps_predict(tokenizer: Tokenizer) -> None:
    copying = translator(tokenizer, Copier())
    rows = dict(forced_attention(copying, TEXTS, TEXTS))
    ids = copying.encode(TEXTS)
    predicted = dict(copying.engine.force(ids, ids, need_attention=True))
    for row, tokens in enumerate(ids):
        assert predicted[row].log_probabilities.tolist() == pytest.approx([0] * (len(tokens) + 1))
        assert rows[row].attention.tolist() == np.eye(len(tokens) + 1).tolist()
        assert rows[row].source_tokens == rows[row].target_tokens == tuple(tokenizer.tokens(tokens))


def test_quality_of_a_copier_is_perfect_and_of_one_that_looks_aside_is_not(tokenizer: Tokenizer) -> None:
    found = attention_quality(translator(tokenizer, Copier()), TEXTS, TEXTS, copied)
    assert found.aligned_lines == len(TEXTS)
    assert found.alignment.error_rate == 0
    assert (found.sums.effective_positions, found.sums.coverage, found.sums.mean_deviation) == (1, 1, 0)
    assert found.sums.source_tokens == found.sums.target_tokens == sum(map(len, tokenizer.encode(TEXTS)))
    beside = attention_quality(translator(tokenizer, Copier(shift=1)), TEXTS, TEXTS, copied)
    assert beside.alignment.error_rate > 0.8
    assert beside.sums.effective_positions == 1


def test_lines_of_unknown_alignment_count_for_sharpness_alone(tokenizer: Tokenizer) -> None:
    model = translator(tokenizer, network("attention", VOCABULARY))
    sources, targets = zip(*itertools.islice(numbers_stream(2, 1, 2), 7), strict=True)
    known = attention_quality(model, sources, targets, numbers_alignment)
    more = attention_quality(model, [*sources, "zwei", "q"], [*targets, "three", "q"], numbers_alignment)
    assert known.aligned_lines == more.aligned_lines == 7
    assert more.alignment == known.alignment
    assert more.sums.source_tokens > known.sums.source_tokens
    assert 0 < known.alignment.error_rate < 1
    assert attention_quality(model, sources, targets).aligned_lines == 0


def test_model_without_attention_has_no_quality(tokenizer: Tokenizer) -> None:
    found = attention_quality(translator(tokenizer, network("fixed", VOCABULARY)), TEXTS, TEXTS, copied)
    assert found.aligned_lines == 0
    assert math.isnan(found.sums.mean_entropy)
    assert math.isnan(found.alignment.error_rate)
