"""Evaluation: translate a test set and score it, in training, `evaluate` and `compare` alike."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, cast

import numpy as np

from s2s.data.corpora import corpora_directory
from s2s.data.corpus import Corpus
from s2s.data.generators.scenes import parse_scene
from s2s.data.image_inputs import read_input
from s2s.data.prepare import prepare_corpus
from s2s.data.readers.images import read_caption_table
from s2s.data.sources import Image, RawSources
from s2s.data.split import Split
from s2s.decoding.engine import Engine
from s2s.decoding.forced import forced_score
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translation import Translation
from s2s.decoding.translator import RecipeTranslator, Translator
from s2s.devices.runtime import usable_threads
from s2s.errors import DataError, UsageError
from s2s.io.digests import digest_json
from s2s.metrics.cider import MIN_LINES, TOO_FEW_LINES
from s2s.metrics.scenes import Pointing, pointing, pointing_scores
from s2s.metrics.scores import (
    CAPTION_SCORES,
    SCENE_SCORES,
    TEXT_SCORES,
    Reference,
    Score,
    Scoring,
    bits_per_byte,
    score_corpus,
    texts_of,
)
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.image_size import SCENE_SIZE, ImageSize
from s2s.recipe.kinds import GeneratorDataOptions
from s2s.recipe.recipe import Recipe
from s2s.registry.version import Version


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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A test set, translated and scored."""

    translations: list[Translation]  # in the order of the sources
    scores: dict[str, Score]  # by metric
    perplexity: float | None  # of the references per token, teacher-forced; None with an engine that only searches
    pointing: list[Pointing]  # of each caption of a scene; empty for others, and without attention
    seconds: float  # translation time
    decoding: DecodingOptions  # how it was decoded

    @property
    def outputs(self) -> list[str]:
        """The translated lines."""
        return [translation.text for translation in self.translations]

    def warnings(self) -> list[str]:
        """Return warnings about the scores."""
        return [TOO_FEW_LINES] if "cider" in self.scores and len(self.translations) < MIN_LINES else []


def evaluate(
    translator: RecipeTranslator[Engine],
    sources: RawSources,
    references: Sequence[Reference],
    *,
    decoding: DecodingOptions | None = None,
    metrics: Sequence[str] = (),
    scenes: Sequence[str] = (),
) -> Evaluation:
    """Translate raw source lines, or caption images, and score the results against raw reference lines.

    `metrics`: by default those of the model's data. `scenes`: descriptions of the sources if they are scenes, with
    which a model with attention is also scored by where it looked.
    """
    recipe = translator.recipe
    decoding = decoding or recipe.decoding
    points = bool(scenes) and recipe.model.has_attention
    start = time.perf_counter()
    translations = translator.translate(sources, decoding, need_attention=points)
    seconds = time.perf_counter() - start
    outputs = [translation.text for translation in translations]
    scores = score_corpus(outputs, references, metrics or metrics_of(recipe), scoring_of(recipe))
    perplexity = None
    if isinstance(translator.engine, PyTorchEngine):
        perplexity, bits = _likelihood(cast(Translator[PyTorchEngine], translator), sources, references)
        scores[bits.metric] = bits
    looked = [_point_at(*pair) for pair in zip(scenes, translations, strict=True)] if points else []
    scores |= pointing_scores(looked) if points else {}
    return Evaluation(translations, scores, perplexity, looked, seconds, decoding)


def _point_at(scene: str, caption: Translation) -> Pointing:
    """Return where the model looked as it named the shapes of a scene."""
    assert caption.grid is not None
    boxes = [one.box for one in parse_scene(scene)]
    return pointing(np.array(caption.attention), caption.tokens, boxes, caption.grid, SCENE_SIZE.shape[:2])


def is_scenes(recipe: Recipe) -> bool:
    """Return whether a recipe's data are scenes."""
    return recipe.data.kind == "generator" and recipe.data.generator.name == "scenes"


def metrics_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the metrics that suit a recipe's data: text, captions, or captions of scenes."""
    if not recipe.model.of_images:
        return TEXT_SCORES
    return SCENE_SCORES if is_scenes(recipe) else CAPTION_SCORES


def scoring_of(recipe: Recipe) -> Scoring:
    """Return how a model's translations are scored: by its target language, unless the recipe names a tokenizer."""
    return Scoring.of(recipe.data.target_language, recipe.training.bleu_tokenizer)


def _likelihood(
    translator: Translator[PyTorchEngine], sources: RawSources, references: Sequence[Reference]
) -> tuple[float, Score]:
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
    return score.perplexity, bits_per_byte(score.nll, references, size)


def read_captioned_images(directory: str, captions: str, size: ImageSize) -> TestLines:
    """Read the images that a table of captions names, relative to a directory; all captions of one are its references.

    `size`: that to which images are scaled, or that of features.
    Raises: DataError if an image or a line of the table cannot be read, or there are none; UsageError if a file is
    missing, or `directory` is none.
    """
    if not Path(directory).is_dir():
        raise UsageError(f"{directory} is not a directory", "name the directory of the images, then their captions")
    by_image: dict[str, list[str]] = {}
    for name, caption in read_caption_table(captions):
        by_image.setdefault(name, []).append(caption)
    if not by_image:
        raise DataError(f"{captions} has no captions")
    with ThreadPoolExecutor(usable_threads()) as pool:
        images = list(pool.map(partial(read_input, size=size), [Path(directory, name) for name in by_image]))
    references: list[Reference] = [own if len(own) > 1 else own[0] for own in by_image.values()]
    return TestLines(images, list(by_image), references)


def own_test_lines(version: Version) -> TestLines:
    """Return the test split of the corpus that a model was trained on; a generated corpus is made again if necessary.

    Raises: UsageError if the corpus is not among the prepared ones, ArtefactError if it is damaged.
    """
    recipe, card = version.recipe(), version.card
    files = "IMAGES CAPTIONS" if card.of_images else "SRC REF"
    hint = f"name a test set: s2s evaluate {version.reference} {files}"
    directory = corpora_directory() / card.corpus[:16]
    if isinstance(recipe.data, GeneratorDataOptions):
        given = version.read("tokenizer.model") if card.parent else None
        corpus = prepare_corpus(recipe.data, recipe.tokenizer, tokenizer_model=given)
    elif directory.is_dir():
        corpus = Corpus.open(directory)
        corpus.verify()
    else:
        raise UsageError(f"the corpus of {version.reference} is not in {directory.parent}", hint)
    if corpus.digest != card.corpus:
        raise UsageError(f"the data of {version.reference} now give another corpus than it was trained on", hint)
    return TestLines.of(corpus.split("test"))


def test_digest(sources: Sequence[str], references: Sequence[Reference]) -> str:
    """Return the digest that identifies a test set by its sentences, or by the names of its images and captions."""
    return digest_json([list(sources), list(references)])
