"""Evaluation: translate a test set and score it, in training, `evaluate` and `compare` alike."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from s2s.data.corpus import Split
from s2s.data.sources import Image, RawSources
from s2s.decoding.engine import Engine
from s2s.decoding.forced import forced_score
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translation import Translation
from s2s.decoding.translator import Translator
from s2s.errors import DataError
from s2s.io.digests import digest_json
from s2s.metrics.scores import SCORE_NAMES, Reference, Score, Scoring, score_corpus, texts_of
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.text.parallel import read_pairs


@dataclass(frozen=True, slots=True)
class TestLines:
    """The sources of a split to translate, and their references."""

    sources: list[str] | list[Image]
    names: list[str]  # the sources as text; of an image, its name
    references: list[Reference]  # of an image, all its captions

    @classmethod
    def of(cls, split: Split, limit: int | None = None) -> Self:
        """Return the sources of a split, or the first ones."""
        rows = split.test_rows()[:limit]
        first = [own[0] for own in rows]
        names, references = split.texts(first)
        several: list[Reference] = [
            split.texts(own)[1] if len(own) > 1 else one for own, one in zip(rows, references, strict=True)
        ]
        return cls(split.sources(first), names, several)


def first_references(references: Sequence[Reference]) -> list[str]:
    """Return the first reference of each line."""
    return [texts_of(reference)[0] for reference in references]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A test set, translated and scored."""

    translations: list[Translation]  # in the order of the sources
    scores: dict[str, Score]  # by metric
    seconds: float  # translation time
    decoding: DecodingOptions  # how it was decoded

    @property
    def outputs(self) -> list[str]:
        """The translated lines."""
        return [translation.text for translation in self.translations]


def evaluate(
    translator: Translator[Engine],
    sources: RawSources,
    references: Sequence[Reference],
    *,
    decoding: DecodingOptions | None = None,
    metrics: Sequence[str] = tuple(SCORE_NAMES),
    need_attention: bool = False,
) -> Evaluation:
    """Translate raw source lines, or caption images, and score the results against raw reference lines.

    With `need_attention`, translations carry attention.
    """
    decoding = decoding or translator.recipe.decoding
    start = time.perf_counter()
    translations = translator.translate(sources, decoding, need_attention=need_attention)
    seconds = time.perf_counter() - start
    outputs = [translation.text for translation in translations]
    scores = score_corpus(outputs, references, metrics, scoring_of(translator.recipe))
    return Evaluation(translations, scores, seconds, decoding)


def scoring_of(recipe: Recipe) -> Scoring:
    """Return how a model's translations are scored: by its target language, unless the recipe names a tokenizer."""
    return Scoring.of(recipe.data.target_language, recipe.training.bleu_tokenizer)


def likelihood(
    translator: Translator[PyTorchEngine], sources: RawSources, references: Sequence[Reference]
) -> tuple[float, float]:
    """Return the teacher-forced perplexity per token and the bits per byte of raw references given raw sources.

    Perplexities compare only models of one vocabulary. Pairs with a blank side are left out.
    """
    engine = translator.engine
    pairs = [
        (source, text)
        for source, reference in zip(sources, references, strict=True)
        for text in texts_of(reference)
        if text.strip() and not (isinstance(source, str) and not source.strip())
    ]
    encoded = translator.encode_sources([source for source, _ in pairs])  # type: ignore[arg-type]
    score = forced_score(engine.model, encoded, translator.encode([text for _, text in pairs]), engine.device)
    size = sum(len(text.encode()) for _, text in pairs)
    return score.perplexity, score.nll / math.log(2) / max(size, 1)


def perplexity(translator: Translator[PyTorchEngine], sources: RawSources, references: Sequence[Reference]) -> float:
    """Return the teacher-forced perplexity per token: see `likelihood`."""
    return likelihood(translator, sources, references)[0]


def read_test_set(source: str, reference: str) -> tuple[list[str], list[str]]:
    """Read sources and references from two files. Raises DataError if their line counts differ or they are empty."""
    pairs = [pair for group in read_pairs(source, reference) for pair in group]
    if not pairs:
        raise DataError(f"{source} has no lines")
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def test_digest(sources: Sequence[str], references: Sequence[Reference]) -> str:
    """Return the digest that identifies a test set by its sentences, or by the names of its images and captions."""
    return digest_json([list(sources), list(references)])
