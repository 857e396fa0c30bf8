"""Evaluation: translate a test set and score it, in training, `evaluate` and `compare` alike."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.decoding.engine import Engine
from s2s.decoding.forced import forced_score
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translation import Translation
from s2s.decoding.translator import Translator
from s2s.errors import DataError
from s2s.io.digests import digest_json
from s2s.metrics.scores import SCORE_NAMES, Score, Scoring, score_corpus
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.text.parallel import read_pairs


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
    sources: Sequence[str],
    references: Sequence[str],
    *,
    decoding: DecodingOptions | None = None,
    metrics: Sequence[str] = tuple(SCORE_NAMES),
) -> Evaluation:
    """Translate raw source lines and score them against raw reference lines."""
    decoding = decoding or translator.recipe.decoding
    start = time.perf_counter()
    translations = translator.translate(sources, decoding)
    seconds = time.perf_counter() - start
    outputs = [translation.text for translation in translations]
    scores = score_corpus(outputs, references, metrics, scoring_of(translator.recipe))
    return Evaluation(translations, scores, seconds, decoding)


def scoring_of(recipe: Recipe) -> Scoring:
    """Return how a model's translations are scored: by its target language, unless the recipe names a tokenizer."""
    return Scoring.of(recipe.data.target_language, recipe.training.bleu_tokenizer)


def likelihood(
    translator: Translator[PyTorchEngine], sources: Sequence[str], references: Sequence[str]
) -> tuple[float, float]:
    """Return the teacher-forced perplexity per token and the bits per byte of raw references given raw sources.

    Perplexities compare only models of one vocabulary. Pairs with a blank side are left out.
    """
    engine = translator.engine
    pairs = [pair for pair in zip(sources, references, strict=True) if all(map(str.strip, pair))]
    source_tokens, reference_tokens = (translator.encode([pair[side] for pair in pairs]) for side in (0, 1))
    score = forced_score(engine.model, source_tokens, reference_tokens, engine.device)
    size = sum(len(reference.encode()) for _, reference in pairs)
    return score.perplexity, score.nll / math.log(2) / max(size, 1)


def perplexity(translator: Translator[PyTorchEngine], sources: Sequence[str], references: Sequence[str]) -> float:
    """Return the teacher-forced perplexity per token: see `likelihood`."""
    return likelihood(translator, sources, references)[0]


def read_test_set(source: str, reference: str) -> tuple[list[str], list[str]]:
    """Read sources and references from two files. Raises DataError if their line counts differ or they are empty."""
    pairs = [pair for group in read_pairs(source, reference) for pair in group]
    if not pairs:
        raise DataError(f"{source} has no lines")
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def test_digest(sources: Sequence[str], references: Sequence[str]) -> str:
    """Return the digest that identifies a test set by its sentences."""
    return digest_json([list(sources), list(references)])
