"""Results of a system on a test set: measured with its models, read from its outputs, or stored before."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from s2s.comparison.entries import Entry, Run
from s2s.comparison.recall import count_correct_values
from s2s.comparison.stored import StoredResult, StoredTraining
from s2s.comparison.test_set import TestSet
from s2s.data.generators.numbers_alignment import numbers_alignment
from s2s.decoding.attention_quality import AttentionQuality, attention_quality
from s2s.decoding.evaluation import evaluate, scoring_of
from s2s.decoding.loading import reference_translator
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.errors import DataError
from s2s.metrics.output_checks import check_output
from s2s.metrics.resampling import LineStatistics
from s2s.metrics.scores import check_counts, first_references, score_corpus
from s2s.recipe.recipe import Recipe
from s2s.registry.version import Version

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SystemResults:
    """The results of one system on one test set, one for each seed."""

    name: str
    command: str
    runs: Sequence[StoredResult]
    test: TestSet

    @property
    def first(self) -> StoredResult:
        """The result of the first seed, whose outputs are shown."""
        return self.runs[0]

    @property
    def training(self) -> StoredTraining | None:
        """How the first seed was trained; None for another toolkit's system."""
        return self.runs[0].training

    @cached_property
    def statistics(self) -> list[LineStatistics]:
        """What the score that systems are compared by is computed from, for each seed."""
        return [
            LineStatistics(run.outputs, self.test.references, self.test.metric, self.test.scoring) for run in self.runs
        ]

    @property
    def score(self) -> float:
        """Mean over the seeds of the score that systems are compared by."""
        return sum(run.scores[self.test.metric].value for run in self.runs) / len(self.runs)


def check_fits(entry: Entry, test: TestSet) -> None:
    """Raise DataError if stored results of a system are of another test set, or if its outputs do not fit this one."""
    for run in entry.runs:
        if run.stored:
            check_counts(_stored(run.stored, test).outputs, test.references, f"outputs of {entry.name}")
        elif run.file:
            check_counts(run.outputs, test.references, f"lines of {run.file}")


def measure(entry: Entry, test: TestSet, device: torch.device) -> SystemResults:
    """Return the results of a system, which fits the test set (`check_fits`)."""
    results = [_result(entry, run, test, device) for run in entry.runs]
    return SystemResults(entry.name, entry.command, results, test)


def _result(entry: Entry, run: Run, test: TestSet, device: torch.device) -> StoredResult:
    if run.file:
        return _score_outputs(entry, run, test)
    if run.stored:
        result = _stored(run.stored, test)
    else:
        assert run.version is not None
        result = _translate(entry, run, run.version, test, device)
    own_scoring = scoring_of(run.recipe) if run.recipe else None
    if own_scoring == test.scoring and result.scores.keys() >= set(test.metrics):
        return result
    # Systems may have been scored with other tokenizers, which would not compare.
    scores = score_corpus(result.outputs, test.references, test.metrics, test.scoring)
    return replace(result, scores=result.scores | scores)


def _stored(results: Sequence[StoredResult], test: TestSet) -> StoredResult:
    """Return the result on this test set."""
    for stored in results:
        if stored.test == test.digest:
            return stored
    shown = test.name or "the test split of the corpus"
    kept = ", ".join(stored.test_name or "the test split of its corpus" for stored in results)
    hint = "name its test set with --test, or compare systems on the same test set"
    raise DataError(f"{results[0].name} has no result on this test set ({shown}), but one on {kept}", hint)


def _score_outputs(entry: Entry, run: Run, test: TestSet) -> StoredResult:
    """Score the outputs of another toolkit's system."""
    outputs = list(run.outputs)
    scores = score_corpus(outputs, test.references, test.metrics, test.scoring)
    sources = () if test.of_images else test.names
    for warning in check_output(outputs, test.references, scores, sources=sources, scoring=test.scoring):
        log.warning(f"{run.file}: {warning.message}")
    return StoredResult(
        name=entry.name,
        test=test.digest,
        test_name=test.name,
        outputs=outputs,
        scores=scores,
        command=entry.command,
    )


def _translate(entry: Entry, run: Run, version: Version, test: TestSet, device: torch.device) -> StoredResult:
    """Translate and score the test set with a model."""
    assert run.recipe is not None
    work = "captioning {:,} images" if test.of_images else "translating {:,} lines"
    log.info(f"{version.reference}: {work.format(len(test.sources))}, {run.recipe.decoding.describe()}")
    translator = reference_translator(version, device)
    found = evaluate(
        translator,
        test.sources,
        test.references,
        decoding=run.recipe.decoding,
        metrics=test.metrics,
        scenes=test.names if test.of_scenes else (),
    )
    references = first_references(test.references)
    counts_values = test.task == "recall" and run.recipe.tokenizer.algorithm == "word"  # a token is a value
    correct_values = count_correct_values(translator, test.names, references) if counts_values else []
    return StoredResult(
        name=entry.name,
        test=test.digest,
        test_name=test.name,
        outputs=found.outputs,
        scores=found.scores,
        command=entry.command,
        decoding=found.decoding.describe(),
        training=training_of(version, run.recipe),
        perplexity=found.perplexity,
        correct_values=correct_values,
        pointing=found.pointing,
        attention=_attention(translator, run.recipe, test, references),
    )


def _attention(
    translator: RecipeTranslator[PyTorchEngine], recipe: Recipe, test: TestSet, references: Sequence[str]
) -> AttentionQuality | None:
    """Measure the attention of a model that translates text and has any; its alignment where the task knows it."""
    if test.of_images or not recipe.model.has_attention:
        return None
    known = {"known_alignment": numbers_alignment} if test.task == "numbers" else {}
    return attention_quality(translator, test.names, references, **known)


def training_of(version: Version, recipe: Recipe) -> StoredTraining:
    """Return how a model was trained from its recipe."""
    card, record = version.card, version.card.training
    return StoredTraining(
        network=recipe.model.describe(),
        recipe=card.recipe,
        seed=record.seed,
        corpus=card.corpus,
        tokenizer=version.file("tokenizer.model").digest,
        parameters=card.parameters,
        updates=record.updates,
        tokens=round(record.tokens_per_second * record.seconds),
        seconds=record.seconds,
        versions=card.versions,
        machine=replace(card.machine, threads=record.threads),
    )
