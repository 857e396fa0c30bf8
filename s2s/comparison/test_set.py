"""The test set of a comparison, and what is known of its overlap with training."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from s2s.comparison.entries import Entry, Run
from s2s.comparison.stored import NAME
from s2s.data.corpora import corpora_directory
from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.data.sources import RawSources
from s2s.decoding.evaluation import (
    TestLines,
    metrics_of,
    scoring_of,
    test_digest,
)
from s2s.decoding.settings import TranslatorSettings
from s2s.errors import ArtefactError, S2SError, UsageError
from s2s.metrics.scores import TEXT_SCORES, Headline, Reference, Scoring, first_references
from s2s.recipe.load import builtin_recipes
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.text.parallel import read_parallel

log = logging.getLogger(__name__)


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
    languages: tuple[str, str] = ("", "")  # codes of sources and references; empty if unknown
    name: str = ""  # empty: the test split of a corpus
    task: str = ""  # of generated data, its generator; empty: natural text or images
    of_languages: bool = True  # False if the recipe names none, as for spellings and sounds
    corpus: Corpus | None = None  # of the training pairs that it is compared with; None if unknown

    @property
    def of_images(self) -> bool:
        """Whether sources are images."""
        return not isinstance(self.sources[0], str)

    @property
    def of_scenes(self) -> bool:
        """Whether sources are generated scenes, described by their names."""
        return self.task == "scenes"

    @property
    def is_natural_text(self) -> bool:
        """Whether people wrote the texts, so that differences in scores mean what they mean in translation."""
        return self.of_languages and not self.task and not self.of_images

    @property
    def measured(self) -> list[str]:
        """The texts by whose length lines are told apart: sources, or the references of images."""
        return first_references(self.references) if self.of_images else self.names

    @property
    def digest(self) -> str:
        """Digest that identifies the test set."""
        return test_digest(self.names, self.references)


def corpus_test_set(entries: Sequence[Entry]) -> TestSet:
    """Return the test set of the first system that is trained here; if none is, of the first stored result's recipe.

    Raises: UsageError if no system has a recipe.
    """
    run = _run_with_test_set(entries)
    recipe, version = run.recipe, run.version
    if recipe is None:
        raise UsageError("no test set is named", "add --test NAME=SOURCE:REFERENCE")
    given = version.read("tokenizer.model") if version and version.card.parent else None
    corpus = prepare_corpus(recipe.data, recipe.tokenizer, tokenizer_model=given)
    lines = TestLines.of(corpus.split("test"))
    data = recipe.data
    languages = f"{data.source_language} → {data.target_language} · " if data.source_language else ""
    kind = "images" if data.image_size else "pairs"
    description = f"{corpus_name(recipe)} · {languages}test: {len(lines.names):,} {kind}"
    scoring = scoring_of(next(entry.recipe for entry in entries if entry.recipe))
    return TestSet(
        lines.sources,
        lines.names,
        lines.references,
        description,
        scoring,
        scoring.headline(lines.references),
        metrics_of(recipe),
        (data.source_language, data.target_language),
        task=_task(recipe),
        of_languages=bool(data.target_language),
        corpus=corpus,
    )


def corpus_name(recipe: Recipe) -> str:
    """Return a name for a recipe's corpus: its generator, the directory of a built-in recipe, or part of its name."""
    builtin = {name.replace("/", "-"): name.partition("/")[0] for name in builtin_recipes()}
    return _task(recipe) or builtin.get(recipe.name) or recipe.name.rpartition("-")[0] or recipe.name


def with_training(test: TestSet, entries: Sequence[Entry]) -> TestSet:
    """Complete a test set once all systems are trained.

    The test split of a corpus gets its overlap with training; a named test set gets the training corpus, if it is on
    this machine.
    """
    recipe, corpus = _run_with_test_set(entries).recipe, test.corpus
    if recipe is None or corpus is None:
        return replace(test, corpus=_training_corpus(entries))
    if unchecked := [entry.name for entry in entries if not _trained_on(entry.runs[0], corpus.digest, recipe)]:
        overlap = f"overlap with the training of {', '.join(unchecked)} not checked"
    elif count := corpus.test_overlap:
        overlap = f"{count:,} of their sources also in training"
    else:
        overlap = "none of them in training"
    return replace(test, description=f"{test.description}, {overlap}")


def _run_with_test_set(entries: Sequence[Entry]) -> Run:
    """Return the run whose corpus has the test set: the first that is trained here, or else the first stored one."""
    with_recipe = [entry for entry in entries if entry.recipe]
    first = next((entry for entry in with_recipe if entry.is_trained_here), (with_recipe or entries)[0])
    return first.runs[0]


def _training_corpus(entries: Sequence[Entry]) -> Corpus | None:
    """Return the corpus that the first model was trained on, if it is on this machine and can be read."""
    for entry in entries:
        version = entry.runs[0].version
        if version and not version.card.parent:
            directory = corpora_directory() / version.card.corpus[:16]
            try:
                return Corpus.open(directory) if directory.is_dir() else None
            except ArtefactError as error:
                log.warning(f"the test set is not compared with training: {error.message}")
                return None
    return None


def _task(recipe: Recipe) -> str:
    return recipe.data.generator.name if recipe.data.kind == "generator" else ""


def _trained_on(run: Run, corpus: str, recipe: Recipe) -> bool:
    """Return whether a system and its parents were trained on a corpus, that of `recipe`, so that overlap is known."""
    if run.recipe is None:
        return False
    version = run.version
    if version is None:
        return same_data(run.recipe, recipe)
    other_tokenizer = run.recipe.tokenizer != recipe.tokenizer
    if version.card.parent is None and other_tokenizer and same_data(run.recipe, recipe):
        return prepare_corpus(run.recipe.data, run.recipe.tokenizer).digest == version.card.corpus
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


def read_test_files(text: str, entries: Sequence[Entry]) -> TestSet:
    """Read the test set `NAME=SOURCE:REFERENCE`; it is scored by the target language of the first system with one.

    Raises: UsageError if `text` is malformed, or if the systems caption images.
    """
    name, _, files = text.partition("=")
    source, _, reference = files.rpartition(":")
    if not (NAME.fullmatch(name) and source and reference):
        raise UsageError(f"--test {text}: expected NAME=SOURCE:REFERENCE", "such as --test news=news.de:news.en")
    recipe = next((entry.recipe for entry in entries if entry.recipe), None)
    if recipe:
        TranslatorSettings.of(recipe).require_task(images=False)
    scoring = scoring_of(recipe) if recipe else Scoring()
    sources, references = read_parallel((source, reference))
    description = f"{name} · {len(sources):,} pairs, overlap with training not checked"
    several: list[Reference] = [*references]
    return TestSet(
        sources,
        sources,
        several,
        description,
        scoring,
        scoring.headline(several),
        metrics_of(recipe) if recipe else TEXT_SCORES,
        (recipe.data.source_language, recipe.data.target_language) if recipe else ("", ""),
        name,
        _task(recipe) if recipe else "",
        recipe is None or bool(recipe.data.target_language),
    )
