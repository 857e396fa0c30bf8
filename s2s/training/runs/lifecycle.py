"""A run: from a recipe to a published model, and all that is missing on the way.

A run's directory holds

- `recipe.toml`: the resolved recipe
- `run.json`: key, corpus, device, precision and threads, frozen when the run begins, and what became of it
- `log.txt`: what was said; `metrics.jsonl`: the same as figures
- `checkpoints/`, and `stopped/` for what a signal had saved: see `checkpoint.py`
- `tokenizer.model`: where the run began from a model, that model's
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import tomli_w
import torch

from s2s.data.corpus import Corpus
from s2s.data.prepare import prepare_corpus
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.devices.leases import lease
from s2s.devices.runtime import configure, cpu_features, package_versions, threads_for
from s2s.devices.select import available_devices, choose_precision, resolve_device
from s2s.errors import ResourceError, S2SError, StoppedError, UsageError
from s2s.io.atomic import write_bytes
from s2s.io.digests import digest_json
from s2s.io.locks import exclusive_lock
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.profile import count_parameters, meta_model
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe
from s2s.recipe.training import limit_parts
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.text.tokenizer import Tokenizer
from s2s.training.distributed import DistributedContext, process_group
from s2s.training.memory import micro_batch_that_fits
from s2s.training.optimizer import freeze
from s2s.training.runs.finetune import inherit, load_parent, parent_of
from s2s.training.runs.publish import publish
from s2s.training.runs.record import LOCK, RECIPE, RunRecord, find_run, runs_directory, unfinished_run
from s2s.training.runs.reproducibility import CODE, check_unchanged
from s2s.training.signals import StopSignals
from s2s.training.state import TrainState
from s2s.training.trainer import Trainer
from s2s.training.training_log import TrainingLog, board_writer

log = logging.getLogger(__name__)

PARENTS_TOKENIZER = "tokenizer.model"


@dataclass(frozen=True, slots=True)
class RunContext:
    """How a training is carried out in this process, whatever it trains."""

    distributed: DistributedContext
    wait: bool
    tensorboard: bool = False

    @classmethod
    def of(cls, wait: bool, tensorboard: bool) -> "RunContext":
        """As asked for; of several processes only the first speaks.

        Raises: ResourceError where TensorBoard's files are wanted and cannot be written.
        """
        distributed = DistributedContext.current()
        if distributed.main:
            if tensorboard:
                board_writer()
            return cls(distributed, wait, tensorboard)
        logging.getLogger("s2s").setLevel(logging.ERROR)
        return cls(distributed, wait)

    def corpus(self, recipe: Recipe, tokenizer: bytes | None) -> Corpus:
        """Return the recipe's corpus, prepared by the main process."""

        def prepared() -> Corpus:
            return prepare_corpus(recipe.data, recipe.tokenizer, tokenizer_model=tokenizer)

        if self.distributed.size > 1:
            self.distributed.broadcast_from_main(lambda: prepared().digest)
        return prepared()

    @contextlib.contextmanager
    def leased(self, device: str, command: str) -> Iterator[str]:
        """Lease this process's device: with several processes, a GPU each, or a share of the CPU."""
        if self.distributed.size > 1:
            gpus = [name for name in available_devices() if name != "cpu"]
            device = f"cuda:{self.distributed.local_rank}" if gpus and device != "cpu" else "cpu"
            if device == "cpu" and not self.distributed.main:  # the first process holds the slot for all
                yield device
                return
        with lease(device, wait=self.wait, command=command) as name:
            yield name


def run_key(recipe: Recipe, corpus: Corpus, parent: Version | None = None, changes: Sequence[str] | None = None) -> str:
    """Return the digest that identifies a run.

    It covers the recipe (its data by content), the corpus, the initial weights, the version of the training code and
    changes made on the way.
    """
    values = recipe.as_dict()
    del values["data"], values["description"]
    begun = {"from": parent.files["weights.safetensors"].digest} if parent else {}
    changed = {"changes": list(changes)} if changes else {}
    return digest_json({"recipe": values, "corpus": corpus.digest, "code": CODE} | begun | changed)


def published_with(registry: Registry, name: str, key: str) -> Version | None:
    """Return the newest version of a model that was trained under that key."""
    if name not in registry.names():
        return None
    return next((version for version in reversed(registry.versions(name)) if version.card.training.key == key), None)


def train(
    recipe: Recipe,
    *,
    device: str,
    wait: bool,
    fresh: bool = False,
    resume_unfinished: bool = False,
    parent: Version | None = None,
    deterministic: bool = False,
    tensorboard: bool = False,
) -> Version:
    """Train a recipe, tokenizer and corpus included, and publish the model; what is there already is used.

    `parent`: the model whose tokenizer and weights training begins with.
    Raises: ResourceError where an unfinished run of the same key is there (it names `s2s resume`), unless that is to
    be resumed; UsageError where the recipe does not fit the parent.
    """
    context = RunContext.of(wait, tensorboard)
    Registry.default().check_writable()
    if parent:
        recipe = inherit(recipe, parent)
    with process_group(context.distributed):
        tokenizer = parent.read("tokenizer.model") if parent else None
        corpus = context.corpus(recipe, tokenizer)
        key = run_key(recipe, corpus, parent)
        there = (
            None
            if fresh
            else context.distributed.broadcast_from_main(lambda: find_existing(recipe.name, key, resume_unfinished))
        )
        if isinstance(there, Version):
            log.info(f"{there.reference} is this recipe, trained on {there.published[:10]}; --fresh trains it anew")
            return there
        if there:
            log.info(f"going on with run {there.name}")
            return resume_run(there, recipe, corpus, context)
        with context.leased(device, f"s2s train {recipe.name}") as name:
            directory = context.distributed.broadcast_from_main(
                lambda: create_run(recipe, corpus, key, name, context, parent, deterministic)
            )
            return execute_run(directory, recipe, corpus, context)


def resume(
    name: str,
    *,
    wait: bool,
    allowed: Sequence[str] = (),
    tensorboard: bool = False,
) -> Version:
    """Resume an unfinished run from its last checkpoint, on the device it started on, and publish the model.

    `allowed`: what may have changed since it began, by name.
    Raises: UsageError where the run is finished, or something else has changed, which it says in words.
    """
    context = RunContext.of(wait, tensorboard)
    directory = find_run(name)
    record = RunRecord.read(directory)
    if record.published:
        raise UsageError(f"run {directory.name} is finished: {record.published}", f"s2s models show {record.published}")
    recipe = load_recipe(str(directory / RECIPE))
    given = directory / PARENTS_TOKENIZER
    with process_group(context.distributed):
        corpus = context.corpus(recipe, given.read_bytes() if given.is_file() else None)
        return resume_run(directory, recipe, corpus, context, allowed)


def find_existing(name: str, key: str, resume_unfinished: bool) -> Version | Path | None:
    """Return what exists under a key: the published version, or the directory of an unfinished run.

    Raises: ResourceError where a run is not finished and not to be gone on with.
    """
    if version := published_with(Registry.default(), name, key):
        return version
    unfinished = unfinished_run(name, key)
    if unfinished and not resume_unfinished:
        raise ResourceError(
            f"run {unfinished.name} of this recipe is not finished",
            f"s2s resume {unfinished.name} resumes it; --fresh trains anew",
        )
    return unfinished


def resume_run(
    directory: Path, recipe: Recipe, corpus: Corpus, context: RunContext, allowed: Sequence[str] = ()
) -> Version:
    """Resume a run from its last checkpoint, after checking that nothing has changed that is not allowed."""
    record = RunRecord.read(directory)
    checked = check_unchanged(record, recipe, corpus, context.distributed.size, allowed)
    for change in checked.changes[len(record.changes) :]:
        log.warning("%s: the resumed run will not be bit-exact; its card will say so", change)
    if limit_parts(recipe.training.stop_after)[1] == "minutes":
        log.info("the limit is in minutes: the run ends elsewhere than if it had not been stopped")
    with context.leased(record.device, f"s2s resume {directory.name}"):
        if checked.recipe != (record.recipe or checked.recipe) or checked.corpus != record.corpus:
            parent = parent_of(record.parent) if record.parent else None
            checked = replace(checked, key=run_key(recipe, corpus, parent, checked.changes))
        context.distributed.broadcast_from_main(lambda: checked.write(directory))
        return execute_run(directory, recipe, corpus, context)


def create_run(
    recipe: Recipe,
    corpus: Corpus,
    key: str,
    device: str,
    context: RunContext,
    parent: Version | None,
    deterministic: bool,
) -> Path:
    """Create a run's directory with everything that stays fixed; create nothing if the recipe cannot be trained."""
    base, count = f"{recipe.name}-{key[:8]}", 1
    while (directory := runs_directory() / (base if count == 1 else f"{base}-{count}")).exists():
        count += 1
    shapes = meta_model(recipe)
    if parent:
        load_parent(shapes, parent)
    freeze(shapes, recipe.training.freeze)
    size = count_parameters(shapes)
    precision = choose_precision(recipe.training.precision, resolve_device(device), size)
    micro = recipe.training.micro_batch_tokens
    record = RunRecord(
        key=key,
        name=recipe.name,
        corpus=corpus.digest,
        device=device,
        precision=precision,
        threads=max(1, threads_for(size) // context.distributed.local_size),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.as_dict(),
        tokenizer=corpus.ledger["tokenizer"]["digest"],
        processes=context.distributed.size,
        micro_batch_tokens=micro_batch_that_fits(recipe, corpus, device, precision) if micro == "auto" else micro,
        deterministic=deterministic,
        parent=parent.reference if parent else None,
        code=CODE,
        versions=package_versions(),
        features=cpu_features(),
    )
    write_bytes(directory / RECIPE, tomli_w.dumps(recipe.as_dict()).encode())
    if parent:
        write_bytes(directory / PARENTS_TOKENIZER, corpus.tokenizer)
    record.write(directory)
    return directory


def execute_run(directory: Path, recipe: Recipe, corpus: Corpus, context: RunContext) -> Version:
    """Train from where the run stands, test, publish."""
    record, distributed = RunRecord.read(directory), context.distributed
    with contextlib.ExitStack() as stack:
        if distributed.main:
            stack.enter_context(exclusive_lock(directory / LOCK, f"training run {directory.name}"))
        progress = TrainingLog(recipe.name, directory if distributed.main else None, context.tensorboard)
        stack.enter_context(progress)
        stop = stack.enter_context(StopSignals(launched=distributed.launched))
        network = _network(record, recipe, corpus)
        gpu = distributed.size > 1 and record.device != "cpu"
        device = resolve_device(f"cuda:{distributed.local_rank}" if gpu else record.device)
        translator = Translator(PyTorchEngine(network.to(device), device), Tokenizer(corpus.tokenizer), recipe)
        progress.message(f"{recipe.name}: {recipe.model.describe()}; {count_parameters(network):,} parameters")
        processes = f", {distributed.size} processes" if distributed.size > 1 else ""
        progress.message(f"run {directory.name}; {device}, {record.precision}, {record.threads} threads{processes}")
        trainer = Trainer(
            corpus,
            translator,
            network,
            record.precision,
            directory,
            progress,
            stop=stop,
            distributed=distributed,
            micro_batch_tokens=record.micro_batch_tokens,
        )
        if distributed.rank:  # dropout differs between the processes; the first one draws what it would draw alone
            torch.manual_seed(recipe.training.seed + distributed.rank)
        trainer.resume()
        position = fit(trainer, directory, progress)
        averaged = trainer.averaged_updates()
        network.load_weights(trainer.final_weights())
        network.eval()
        return distributed.broadcast_from_main(
            lambda: publish(directory, record, corpus, translator, network, position, averaged, progress)
        )


def _network(record: RunRecord, recipe: Recipe, corpus: Corpus) -> EncoderDecoder:
    """Build the network before its first update: initialized from the seed, or from the parent."""
    configure(record.threads, deterministic=record.deterministic)
    torch.manual_seed(recipe.training.seed)
    size = corpus.ledger["tokenizer"]["tokens"]
    network = build_model(recipe.model, size)
    if record.parent:
        load_parent(network, parent_of(record.parent))
    freeze(network, recipe.training.freeze)
    return network


def fit(trainer: Trainer, directory: Path, progress: TrainingLog) -> TrainState:
    """Train and return the final state. An interruption says how to resume."""
    again = f"s2s resume {directory.name} resumes from"
    try:
        return trainer.run()
    except StoppedError as stopped:
        message = f"{stopped.message} at update {trainer.state.update:,}, which is saved"
        progress.write(message)
        raise StoppedError(stopped.signal, message, f"{again} there") from stopped
    except S2SError as error:
        progress.write(f"stopped: {error.message}")
        error.hint = f"{error.hint}; {again} the last checkpoint" if error.hint else f"{again} the last checkpoint"
        raise
    except KeyboardInterrupt:
        progress.message(f"stopped; {again} the last checkpoint")
        raise
