"""Evaluation: translate a test set and score it.

The one way to a figure, in training, `evaluate` and `compare` alike.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.decoding.forced import forced_score
from s2s.decoding.hypothesis import Engine
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.streaming import read_texts
from s2s.decoding.translator import Translation, Translator
from s2s.errors import DataError
from s2s.io.inputs import refuse_twice
from s2s.metrics.scores import Score, score_corpus
from s2s.recipe.decoding import DecodingOptions

METRICS = ("bleu", "chrf", "ter", "exact")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A test set translated and scored: the translations, scores by metric, seconds of translating, how it was
    decoded.
    """

    translations: list[Translation]
    scores: dict[str, Score]
    seconds: float
    decoding: DecodingOptions

    @property
    def outputs(self) -> list[str]:
        """The translated lines."""
        return [translation.text for translation in self.translations]


def evaluate(
    translator: Translator[Engine],
    sources: Sequence[str],
    references: Sequence[str],
    *,
    decoding: DecodingOptions | None = None,
    metrics: Sequence[str] = METRICS,
) -> Evaluation:
    """Translate raw `sources` and score against raw `references`."""
    decoding = decoding or translator.recipe.decoding
    begun = time.perf_counter()
    translations = translator.translate(sources, decoding)
    seconds = time.perf_counter() - begun
    scores = score_corpus([translation.text for translation in translations], list(references), tuple(metrics))
    return Evaluation(translations, scores, seconds, decoding)


def perplexity(translator: Translator[PyTorchEngine], sources: Sequence[str], references: Sequence[str]) -> float:
    """Teacher-forced perplexity per token of raw `references` given raw `sources`."""
    tokens = translator.encode(sources), translator.encode(references)
    return forced_score(translator.engine.model, *tokens, translator.engine.device).perplexity


def read_test_set(source: str, reference: str) -> tuple[list[str], list[str]]:
    """Read sources and references from two files. Raises DataError if their line counts differ or are 0."""
    refuse_twice([source, reference])
    sources, references = read_texts(source), read_texts(reference)
    if len(sources) != len(references):
        raise DataError(f"line counts differ: {source} has {len(sources):,}, {reference} has {len(references):,}")
    if not sources:
        raise DataError(f"{source} holds no lines")
    return sources, references
