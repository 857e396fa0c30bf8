"""The end of a run: the model is tested and put into the registry, with a card that says how it came about."""

import json
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save as save_tensors

from s2s.data.corpus import Corpus
from s2s.decoding.evaluation import Evaluation, evaluate, perplexity
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.devices.runtime import machine, versions
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.profile import parameters
from s2s.recipe.recipe import Recipe
from s2s.registry.blobs import StoredFile
from s2s.registry.card import Card, ScoreRecord, TrainingRecord
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.training.runs.record import RunRecord
from s2s.training.state import TrainState
from s2s.training.training_log import TrainingLog, clock


def publish(
    directory: Path,
    record: RunRecord,
    corpus: Corpus,
    translator: Translator[PyTorchEngine],
    network: EncoderDecoder,
    position: TrainState,
    averaged: list[int],
    progress: TrainingLog,
) -> Version:
    """Test the model, put it into the registry, and note in the run that it is there.

    `averaged`: the updates whose mean the network's weights are; none where they are those of one.
    """
    weights = save_tensors({name: value.float().cpu() for name, value in network.weights().items()})
    version = _published_before(record, weights)
    if version is None:
        files = {
            "weights.safetensors": weights,
            "tokenizer.model": translator.tokenizer.model,
            "recipe.json": json.dumps(portable(translator.recipe).as_dict(), ensure_ascii=False, indent=2).encode(),
        }
        card = _card(record, corpus, translator, network, _training(record, translator.recipe, position, averaged))
        version = Registry.default().publish(record.name, files, card)
    replace(record, published=str(version.reference)).write(directory)
    bleu = next(score for score in version.card.scores if score.metric == "bleu")
    best = f"mean of {len(averaged)} checkpoints" if averaged else f"best at {position.best_update:,}"
    skipped = f", {position.skipped:,} skipped" if position.skipped else ""
    progress.message(
        f"{version.reference}: test BLEU {bleu.value:.1f} ({bleu.signature}); "
        f"{position.update:,} updates in {clock(position.seconds)}{skipped}, {best}"
    )
    return version


def _published_before(record: RunRecord, weights: bytes) -> Version | None:
    """Return the version that this run published before it was killed, if it did."""
    registry, stored = Registry.default(), StoredFile.of(weights)
    if record.name not in registry.names():
        return None
    for version in registry.versions(record.name):
        same = version.card.training.key == record.key and version.files["weights.safetensors"] == stored
        if same and version.published >= record.created:
            return version
    return None


def portable(recipe: Recipe) -> Recipe:
    """Return the recipe without its data directory."""
    return recipe.model_copy(update={"data": recipe.data.with_root("")})


def score_records(evaluation: Evaluation, perplexity: float) -> list[ScoreRecord]:
    """Test scores as a card keeps them."""
    settings = evaluation.decoding.describe()
    records = [
        ScoreRecord(metric=name, value=score.value, signature=score.signature, test_set="test", settings=settings)
        for name, score in evaluation.scores.items()
    ]
    how = "teacher-forced|unit:token"
    return [*records, ScoreRecord(metric="perplexity", value=perplexity, signature=how, test_set="test", settings="")]


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
    translator: Translator[PyTorchEngine],
    network: EncoderDecoder,
    training: TrainingRecord,
) -> Card:
    """Build the card, with the test scores."""
    recipe, test = translator.recipe, corpus.split("test")
    sources, references = test.texts(range(len(test)))
    evaluation = evaluate(translator, sources, references)
    return Card(
        description=recipe.description,
        architecture=recipe.model.describe(),
        attention=recipe.model.has_attention,
        recipe=portable(recipe).as_dict(),
        source_language=recipe.data.source_language,
        target_language=recipe.data.target_language,
        corpus=corpus.digest,
        pairs={name: len(corpus.split(name)) for name in ("train", "validation", "test")},
        train_test_overlap=corpus.ledger["splits"]["test"]["overlap"]["source"]["count"],
        parameters=parameters(network),
        memory_bytes=sum(value.nbytes for value in network.weights().values()),
        parent=record.parent,
        training=training,
        scores=score_records(evaluation, perplexity(translator, sources, references)),
        versions=versions(),
        machine=machine(),
    )
