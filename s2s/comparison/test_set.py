"""The test set of a comparison, and what is known of its overlap with training."""

from collections.abc import Sequence
from dataclasses import dataclass

from s2s.comparison.entries import Entry
from s2s.data.prepare import prepare_corpus
from s2s.data.sources import RawSources
from s2s.decoding.evaluation import (
    TestLines,
    first_references,
    is_scenes,
    metrics_of,
    read_test_set,
    scoring_of,
    test_digest,
)
from s2s.decoding.settings import TranslatorSettings
from s2s.errors import S2SError, UsageError
from s2s.metrics.scores import TEXT_SCORES, Headline, Reference, Scoring
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry


@dataclass(frozen=True, slots=True)
class TestSet:
    """A test set."""

    sources: RawSources  # sentences or images
    names: list[str]  # sources as text; of an image, its name
    references: list[Reference]
    description: str  # task, languages, size, overlap with training
    scoring: Scoring
    metric: Headline  # score that systems are compared by
    metrics: Sequence[str] = TEXT_SCORES  # that systems are scored by
    of_scenes: bool = False  # whether sources are generated scenes, described by their names

    @property
    def of_images(self) -> bool:
        """Whether sources are images."""
        return not isinstance(self.sources[0], str)

    @property
    def measured(self) -> list[str]:
        """The texts by whose length lines are told apart: sources, or the references of images."""
        return first_references(self.references) if self.of_images else self.names

    @property
    def digest(self) -> str:
        """Digest that identifies the test set."""
        return test_digest(self.names, self.references)


def corpus_test_set(entries: Sequence[Entry]) -> TestSet:
    """Return the test set of the first system that is no stored result, and describe its overlap with training."""
    first = next((entry for entry in entries if not entry.stored), entries[0])
    recipe, version = first.recipe, first.version
    given = version.read("tokenizer.model") if version and version.card.parent else None
    corpus = prepare_corpus(recipe.data, recipe.tokenizer, tokenizer_model=given)
    lines = TestLines.of(corpus.split("test"))
    data = recipe.data
    languages = f"{data.source_language} → {data.target_language} · " if data.source_language else ""
    name = data.generator.name if data.kind == "generator" else recipe.name.rpartition("-")[0] or recipe.name
    if unchecked := [entry.recipe.name for entry in entries if not _trained_on(entry, corpus.digest, recipe)]:
        overlap = f"overlap with the training of {', '.join(unchecked)} not checked"
    elif count := corpus.test_overlap:
        overlap = f"{count:,} of their sources also in training"
    else:
        overlap = "none of them in training"
    kind = "images" if data.image_size else "pairs"
    description = f"{name} · {languages}test: {len(lines.names):,} {kind}, {overlap}"
    return _scored(lines, description, entries[0], recipe)


def _scored(lines: TestLines, description: str, first: Entry, source: Recipe) -> TestSet:
    """Return a test set that is scored as the first system's recipe says, by metrics that suit the data of `source`."""
    scoring = scoring_of(first.recipe)
    return TestSet(
        lines.sources,
        lines.names,
        lines.references,
        description,
        scoring,
        scoring.headline(lines.references),
        metrics_of(source),
        is_scenes(source),
    )


def _trained_on(entry: Entry, corpus: str, recipe: Recipe) -> bool:
    """Return whether a system and its parents were trained on a corpus, that of `recipe`, so that overlap is known."""
    version = entry.version
    if version is None:
        return same_data(entry.recipe, recipe)
    if version.card.parent is None and same_data(entry.recipe, recipe):  # perhaps with another tokenizer
        return prepare_corpus(entry.recipe.data, entry.recipe.tokenizer).digest == version.card.corpus
    while version.card.corpus == corpus:
        if version.card.parent is None:
            return True
        try:
            version = Registry.default().resolve(version.card.parent)
        except S2SError:
            return False
    return False


def same_data(one: Recipe, other: Recipe) -> bool:
    """Return whether two recipes have the same data, wherever it is stored."""
    return one.data.with_root("") == other.data.with_root("")


def read_test_files(text: str, first: Entry) -> TestSet:
    """Read the test set `NAME=SOURCE:REFERENCE` to compare systems, of which `first` is the first.

    Raises: UsageError if `text` is malformed, or if the systems caption images.
    """
    name, _, files = text.partition("=")
    source, _, reference = files.rpartition(":")
    if not (name and source and reference):
        raise UsageError(f"--test {text}: expected NAME=SOURCE:REFERENCE", "such as --test news=news.de:news.en")
    TranslatorSettings.of(first.recipe).require_task(images=False)
    sources, references = read_test_set(source, reference)
    description = f"{name} · {len(sources):,} pairs, overlap with training not checked"
    return _scored(TestLines(sources, sources, [*references]), description, first, first.recipe)
