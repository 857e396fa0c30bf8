"""Publication of a trained model: test it, describe it with a card, and store it in the registry."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from s2s.data.corpus import Corpus
from s2s.decoding.evaluation import (
    Evaluation,
    TestLines,
    evaluate,
    is_scenes,
    scoring_of,
    test_digest,
)
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.devices.runtime import Machine, package_versions
from s2s.io.atomic import write_bytes, write_json
from s2s.metrics.scores import SCORE_NAMES, Headline, format_score
from s2s.models.network import Network
from s2s.models.profile import count_parameters
from s2s.recipe.recipe import Recipe
from s2s.registry.blobs import StoredFile
from s2s.registry.card import Card, ScoreRecord, TrainingRecord
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.report.format import clock
from s2s.training.runs.record import RunRecord
from s2s.training.state import TrainState
from s2s.training.tensor_files import write_tensors
from s2s.training.training_log import TrainingLog

log = logging.getLogger(__name__)

PUBLISHED = "published"  # directory of a run in which the files of a version are written


def publish(
    directory: Path,
    files: dict[str, Path],
    record: RunRecord,
    corpus: Corpus,
    translator: RecipeTranslator[PyTorchEngine],
    network: Network,
    position: TrainState,
    averaged: list[int],
    progress: TrainingLog,
) -> Version:
    """Test the model, publish its files from `write_files`, and record the version in the run.

    `averaged`: updates of the checkpoints that the network's weights are the mean of; empty if they are of one update.
    """
    version = _already_published(record, files["weights.safetensors"])
    if version is None:
        card = _card(record, corpus, translator, network, _training(record, translator.recipe, position, averaged))
        version = Registry.default().publish(record.name, files, card)
        warn_if_worse(version)
    shutil.rmtree(directory / PUBLISHED)
    replace(record, published=str(version.reference)).write(directory)
    score, *others = version.card.scores
    best = f"mean of {len(averaged)} checkpoints" if averaged else f"best at {position.best_update:,}"
    skipped = f", {position.skipped:,} skipped" if position.skipped else ""
    progress.message(
        f"{version.reference}: test {SCORE_NAMES[score.metric]} {score.value:.1f} ({score.signature}); "
        f"{position.update:,} updates in {clock(position.seconds)}{skipped}, {best}"
    )
    if version.card.of_images:
        progress.message(f"test {', '.join(_shown(one) for one in others if one.metric in SCORE_NAMES)}")
    return version


def _shown(score: ScoreRecord) -> str:
    """Return a score as text, CIDEr-D with its signature, without which its values cannot be compared."""
    text = f"{SCORE_NAMES[score.metric]} {format_score(score.metric, score.value)}"
    return f"{text} ({score.signature})" if score.metric == "cider" else text


def warn_if_worse(version: Version) -> None:
    """Warn if an earlier version, which the bare name no longer refers to, has a better score."""
    better = Registry.default().best_version(version.name)
    if better and better.number != version.number:
        new, old = version.card.scores[0], better.card.scores[0]
        text = f"{SCORE_NAMES[new.metric]} {new.value:.1f}"
        log.warning(
            "%s: %s; %s has %.1f and is no longer the newest", version.reference, text, better.reference, old.value
        )


def write_files(directory: Path, translator: RecipeTranslator[PyTorchEngine], network: Network) -> dict[str, Path]:
    """Write the files of a version into a directory of the run and return their paths by name."""
    files = {name: directory / PUBLISHED / name for name in ("weights.safetensors", "tokenizer.model", "recipe.json")}
    weights = {name: value.cpu() for name, value in network.weights().items()}
    write_tensors(files["weights.safetensors"], weights)
    write_bytes(files["tokenizer.model"], translator.tokenizer.model)
    write_json(files["recipe.json"], portable(translator.recipe).as_dict())
    return files


def _already_published(record: RunRecord, weights: Path) -> Version | None:
    """Return the version that this run published before it was killed, or None."""
    stored = StoredFile.of(weights)
    for version in Registry.default().published_with(record.name, record.key):
        if version.file("weights.safetensors") == stored and version.published >= record.created:
            return version
    return None


def portable(recipe: Recipe) -> Recipe:
    """Return the recipe without its data directory."""
    return recipe.model_copy(update={"data": recipe.data.with_root("")})


def score_records(evaluation: Evaluation, headline: Headline) -> list[ScoreRecord]:
    """Return the test scores in the form of a card, the headline metric first."""
    settings = evaluation.decoding.describe()
    records = [
        ScoreRecord(metric=name, value=score.value, signature=score.signature, test_set="test", settings=settings)
        for name, score in sorted(evaluation.scores.items(), key=lambda one: one[0] != headline)
    ]
    if evaluation.perplexity is not None:
        how, value = "teacher-forced|unit:token", evaluation.perplexity
        records.append(ScoreRecord(metric="perplexity", value=value, signature=how, test_set="test", settings=""))
    return records


def _training(record: RunRecord, recipe: Recipe, position: TrainState, averaged: list[int]) -> TrainingRecord:
    return TrainingRecord(
        key=record.key,
        seed=recipe.training.seed,
        updates=position.update,
        epochs=position.epoch,
        best_update=position.best_update,
        averaged=averaged,
        seconds=position.seconds,
        tokens_per_second=position.tokens / max(position.seconds, 1e-9),
        device=record.device,
        precision=record.precision,
        threads=record.threads,
        processes=record.processes,
        skipped=position.skipped,
        changes=record.changes,
    )


def _card(
    record: RunRecord,
    corpus: Corpus,
    translator: RecipeTranslator[PyTorchEngine],
    network: Network,
    training: TrainingRecord,
) -> Card:
    """Build the card, with the test scores."""
    recipe, test = translator.recipe, TestLines.of(corpus.split("test"))
    evaluation = evaluate(translator, test.sources, test.references, scenes=test.names if is_scenes(recipe) else ())
    for warning in evaluation.warnings():
        log.warning(warning)
    return Card(
        task="captioning" if recipe.model.of_images else "translation",
        description=recipe.description,
        architecture=recipe.model.describe(),
        attention=recipe.model.has_attention,
        recipe=portable(recipe).as_dict(),
        source_language=recipe.data.source_language,
        target_language=recipe.data.target_language,
        corpus=corpus.digest,
        pairs={name: len(corpus.split(name)) for name in ("train", "validation", "test")},
        test_digest=test_digest(test.names, test.references),
        train_test_overlap=corpus.test_overlap,
        source_profile=corpus.source_profile,
        parameters=count_parameters(network),
        memory_bytes=sum(value.nbytes for value in network.weights().values()),
        parent=record.parent,
        training=training,
        scores=score_records(evaluation, scoring_of(recipe).headline(test.references)),
        versions=package_versions(),
        machine=Machine.current(),
    )
