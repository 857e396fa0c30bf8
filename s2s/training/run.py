"""A run: from a recipe to a published model, and all that is missing on the way.

A run's folder holds

- `recipe.toml`: the resolved recipe
- `run.json`: key, corpus, device, precision and threads, frozen when the run begins, and what became of it
- `log.txt`: what was said; `metrics.jsonl`: the same as figures
- `checkpoints/`: see `checkpoint.py`
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import tomli_w
import torch
from rich.console import Console
from safetensors.torch import save as save_tensors

from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.decoding.evaluation import Evaluation, evaluate, perplexity
from s2s.decoding.translator import Translator
from s2s.devices import Precision, choose_precision, device_named, keep_freed_memory, machine, threads_for, versions
from s2s.errors import ArtefactError, ResourceError, UsageError, did_you_mean
from s2s.files import digest_json, home, only_writer, read_json, write_bytes, write_json
from s2s.models.families import build_model
from s2s.models.seq2seq import Seq2Seq
from s2s.models.size import parameters, shapes_of
from s2s.recipe.loading import load_recipe
from s2s.recipe.schema import Recipe
from s2s.registry.card import Card, ScoreRecord, TrainingRecord
from s2s.registry.leases import lease
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.text.tokenizer import Tokenizer
from s2s.training.checkpoint import load_checkpoint
from s2s.training.loop import Position, Trainer
from s2s.training.progress import TrainingProgress, clock

SCHEMA = 1
CODE = 2  # version of the training code: raised when the same recipe would be trained to other weights

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is frozen when a run begins, and the version it was published as in the end."""

    key: str
    name: str
    corpus: str
    device: str
    precision: Precision
    threads: int
    created: str
    published: str | None = None
    schema: int = SCHEMA

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record in a run's folder. Raises ArtefactError where it is of a newer schema."""
        values = read_json(folder / "run.json")
        if values.get("schema", 0) > SCHEMA:
            raise ArtefactError(f"run {folder.name}: schema {values['schema']} is newer than this s2s reads ({SCHEMA})")
        return cls(**values)

    def write(self, folder: Path) -> None:
        """Write the record into a run's folder."""
        write_json(folder / "run.json", asdict(self))


def run_key(recipe: Recipe, corpus: Corpus) -> str:
    """What makes two runs the same: recipe (its data by their contents), corpus, version of the training code."""
    values = recipe.as_dict()
    del values["data"], values["description"]
    return digest_json({"recipe": values, "corpus": corpus.digest, "code": CODE})


def published_with(registry: Registry, name: str, key: str) -> Version | None:
    """The newest version of a model that was trained under that key."""
    if name not in registry.names():
        return None
    return next((version for version in reversed(registry.versions(name)) if version.card.training.key == key), None)


def train(
    recipe: Recipe,
    *,
    device: str,
    wait: bool,
    console: Console,
    notify: Notify,
    fresh: bool = False,
    resume_unfinished: bool = False,
) -> Version:
    """Train a recipe, tokenizer and corpus included, and publish the model; what is there already is used.

    Raises: ResourceError where an unfinished run of the same key is there (it names `s2s resume`), unless that is to
    be resumed.
    """
    Registry.default().check_writable()
    corpus = prepare_corpus(recipe.data, recipe.tokenizer, notify=notify)
    key = run_key(recipe, corpus)
    if not fresh and (version := published_with(Registry.default(), recipe.name, key)):
        notify(f"{version.reference} is this recipe, trained on {version.published[:10]}; --fresh trains it anew")
        return version
    if not fresh and (unfinished := unfinished_run(recipe.name, key)):
        if resume_unfinished:
            notify(f"going on with run {unfinished.name}")
            return _go_on(unfinished, recipe, corpus, wait, console, notify)
        raise ResourceError(
            f"run {unfinished.name} of this recipe is not finished",
            f"s2s resume {unfinished.name} goes on with it; --fresh starts anew",
        )
    with lease(device, wait=wait, command=f"s2s train {recipe.name}", notify=notify) as name:
        return _carry_out(_begin(recipe, corpus, key, name), recipe, corpus, console)


def resume(name: str, *, wait: bool, console: Console, notify: Notify) -> Version:
    """Go on with an unfinished run from its last checkpoint, on the device it began on, and publish the model."""
    folder = find_run(name)
    record = RunRecord.read(folder)
    if record.published:
        raise UsageError(f"run {folder.name} is finished: {record.published}", f"s2s models show {record.published}")
    recipe = load_recipe(str(folder / "recipe.toml"))
    corpus = prepare_corpus(recipe.data, recipe.tokenizer, notify=notify)
    if corpus.digest != record.corpus:
        raise ArtefactError(f"run {folder.name}: the data have changed since it began", "s2s train starts a new run")
    return _go_on(folder, recipe, corpus, wait, console, notify)


def _go_on(folder: Path, recipe: Recipe, corpus: Corpus, wait: bool, console: Console, notify: Notify) -> Version:
    device = RunRecord.read(folder).device
    with lease(device, wait=wait, command=f"s2s resume {folder.name}", notify=notify):
        return _carry_out(folder, recipe, corpus, console)


def runs_folder() -> Path:
    """Where runs are kept."""
    return home() / "runs"


def unfinished_run(name: str, key: str) -> Path | None:
    """The newest folder of a run under that key that has published nothing."""
    folders = sorted(runs_folder().glob(f"{name}-{key[:8]}*/run.json"), key=lambda path: path.stat().st_mtime)
    open_ones = [path.parent for path in folders if RunRecord.read(path.parent).published is None]
    return open_ones[-1] if open_ones else None


def find_run(name: str) -> Path:
    """The folder of a run, by its name or path. Raises UsageError with the nearest names."""
    known = sorted(path.parent.name for path in runs_folder().glob("*/run.json"))
    if name in known:
        return runs_folder() / name
    if (Path(name) / "run.json").is_file():
        return Path(name)
    raise UsageError(f"run {name}: no such run", did_you_mean(name, known) or f"runs are kept in {runs_folder()}")


def _begin(recipe: Recipe, corpus: Corpus, key: str, device: str) -> Path:
    """Make a new run's folder, with what is frozen for its whole life."""
    base, count = f"{recipe.name}-{key[:8]}", 1
    while (folder := runs_folder() / (base if count == 1 else f"{base}-{count}")).exists():
        count += 1
    size = parameters(shapes_of(recipe))
    precision = choose_precision(recipe.training.precision, device_named(device), size)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    record = RunRecord(key, recipe.name, corpus.digest, device, precision, threads_for(size), created)
    write_bytes(folder / "recipe.toml", tomli_w.dumps(recipe.as_dict()).encode())
    record.write(folder)
    return folder


def _carry_out(folder: Path, recipe: Recipe, corpus: Corpus, console: Console) -> Version:
    """Train from where the run stands, test, publish."""
    record = RunRecord.read(folder)
    with (
        only_writer(folder / "lock", f"training run {folder.name}"),
        TrainingProgress(recipe.name, folder, console) as progress,
    ):
        torch.set_num_threads(record.threads)
        keep_freed_memory()
        torch.manual_seed(recipe.training.seed)
        tokenizer, device = Tokenizer(corpus.tokenizer), device_named(record.device)
        network = build_model(recipe.model, tokenizer.size, recipe.training.label_smoothing).to(device)
        translator = Translator(network, tokenizer, recipe, device)
        progress.message(f"{recipe.name}: {recipe.model.in_words()}; {parameters(network):,} parameters")
        progress.message(f"run {folder.name}; {device}, {record.precision}, {record.threads} threads")
        trainer = Trainer(corpus, translator, network, record.precision, folder, progress)
        trainer.resume()
        try:
            position = trainer.run()
        except KeyboardInterrupt:
            progress.message(f"stopped; s2s resume {folder.name} goes on from the last checkpoint")
            raise
        best = load_checkpoint(folder / "checkpoints" / f"{position.best_update:08d}")
        network.load_weights(best.model)
        network.eval()
        return _publish(folder, record, corpus, translator, network, position, progress)


def _publish(
    folder: Path,
    record: RunRecord,
    corpus: Corpus,
    translator: Translator,
    network: Seq2Seq,
    position: Position,
    progress: TrainingProgress,
) -> Version:
    """Test the model, put it into the registry, and note in the run that it is there."""
    test = corpus.split("test")
    sources, references = test.texts(range(len(test)))
    evaluation = evaluate(translator, sources, references)
    scores = score_records(evaluation, perplexity(translator, sources, references))
    card = _card(record, corpus, translator.recipe, network, position, scores)
    weights = {name: value.float().cpu() for name, value in network.weights().items()}
    files = {
        "weights.safetensors": save_tensors(weights),
        "tokenizer.model": translator.tokenizer.model,
        "recipe.json": json.dumps(portable(translator.recipe).as_dict(), ensure_ascii=False, indent=2).encode(),
    }
    version = Registry.default().publish(record.name, files, card)
    replace(record, published=str(version.reference)).write(folder)
    bleu = evaluation.scores["bleu"]
    progress.message(
        f"{version.reference}: test BLEU {bleu.value:.1f} ({bleu.signature}); "
        f"{position.update:,} updates in {clock(position.seconds)}, best at {position.best_update:,}"
    )
    return version


def portable(recipe: Recipe) -> Recipe:
    """The recipe without the folder its data lay in."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": ""})})


def score_records(evaluation: Evaluation, perplexity: float) -> list[ScoreRecord]:
    """Test scores as a card keeps them."""
    settings = evaluation.decoding.in_words()
    records = [
        ScoreRecord(metric=name, value=score.value, signature=score.signature, test_set="test", settings=settings)
        for name, score in evaluation.scores.items()
    ]
    how = "teacher-forced|unit:piece"
    return [*records, ScoreRecord(metric="perplexity", value=perplexity, signature=how, test_set="test", settings="")]


def _card(
    record: RunRecord, corpus: Corpus, recipe: Recipe, network: Seq2Seq, position: Position, scores: list[ScoreRecord]
) -> Card:
    training = TrainingRecord(
        key=record.key,
        seed=recipe.training.seed,
        updates=position.update,
        epochs=position.epoch,
        best_update=position.best_update,
        seconds=position.seconds,
        tokens_per_second=position.pieces / max(position.seconds, 1e-9),
        device=record.device,
        precision=record.precision,
        threads=record.threads,
    )
    return Card(
        description=recipe.description,
        in_words=recipe.model.in_words(),
        attention=recipe.model.attends,
        recipe=portable(recipe).as_dict(),
        source_language=recipe.data.source_language,
        target_language=recipe.data.target_language,
        corpus=corpus.digest,
        pairs={name: len(corpus.split(name)) for name in ("train", "validation", "test")},
        train_test_overlap=corpus.ledger["splits"]["test"]["overlap"]["source"]["count"],
        parameters=parameters(network),
        memory_bytes=sum(value.nbytes for value in network.weights().values()),
        training=training,
        scores=scores,
        versions=versions(),
        machine=machine(),
    )
