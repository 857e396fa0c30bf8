"""Runs: train a recipe, with everything it needs, and publish the model; or resume an interrupted run.

The directory of a run holds

- `recipe.toml`: the resolved recipe
- `run.json`: key, corpus, device, precision and threads, fixed when the run is created, and the published version
- `log.txt`: log messages; `metrics.jsonl`: metrics
- `checkpoints/`, and `stopped/` for a checkpoint saved after a signal (see `checkpoint.py`)
- `tokenizer.model`: the parent's tokenizer, if the run fine-tunes a model
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import tomli_w
import torch

from s2s.data.corpus import Corpus
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.devices.runtime import Precision, cpu_features, package_versions, prepare, threads_for, usable_threads
from s2s.devices.select import choose_precision, resolve_device
from s2s.errors import LostProcessError, ResourceError, S2SError, StoppedError, UsageError, is_lost_process
from s2s.io.atomic import write_bytes
from s2s.io.digests import digest_json
from s2s.io.locks import exclusive_lock, lock_holder
from s2s.io.paths import refuse_links
from s2s.models.build import build_model
from s2s.models.network import Network
from s2s.models.profile import count_parameters, meta_model
from s2s.recipe.load import refuse_encoder_only
from s2s.recipe.recipe import Recipe
from s2s.recipe.training import limit_parts
from s2s.registry.store import Registry
from s2s.registry.version import Version, now
from s2s.report.format import counted
from s2s.text.tokenizer import Tokenizer
from s2s.training.batches import TrainingBatches
from s2s.training.distributed import DistributedContext, process_group
from s2s.training.memory import micro_batch_that_fits, try_largest_batches
from s2s.training.optimizer import freeze
from s2s.training.runs.context import RunContext
from s2s.training.runs.finetune import find_parent, inherit_from, load_parent
from s2s.training.runs.publish import publish, write_files
from s2s.training.runs.record import (
    LOCK,
    RECIPE,
    RunRecord,
    find_run,
    recipe_of_run,
    runs_directory,
    unfinished_run,
)
from s2s.training.runs.reproducibility import CODE, check_unchanged
from s2s.training.sharding import is_sharded
from s2s.training.signals import StopSignals
from s2s.training.state import TrainState
from s2s.training.step import Learner
from s2s.training.trainer import Trainer
from s2s.training.training_log import TrainingLog

log = logging.getLogger(__name__)

FEW_TOKENS = 8192  # of a batch for each of several GPUs; with fewer, the exchange of gradients takes most of the time
PARENT_TOKENIZER = "tokenizer.model"
HOW = "parallel", "recompute"  # options of training that do not change what is computed
OF_TRAINING = "augmentation", "temperature", "stages"  # options of data; the digest of the corpus covers all others


def run_key(recipe: Recipe, corpus: Corpus, parent: Version | None = None, changes: Sequence[str] | None = None) -> str:
    """Return the digest that identifies a run.

    It covers the recipe (its data by content, without how processes share the work), the corpus, the parent's weights,
    the version of the training code and changes accepted when the run was resumed.
    """
    values = recipe.as_dict()
    del values["description"]
    for key in HOW:
        del values["training"][key]
    data = values["data"]
    values["data"] = {key: data[key] for key in OF_TRAINING if key in data}
    if "datasets" in data:
        values["data"]["weights"] = [one["weight"] for one in data["datasets"]]
    content = {"recipe": values, "corpus": corpus.digest, "code": CODE}
    if parent:
        content["from"] = parent.file("weights.safetensors").digest
    if changes:
        content["changes"] = list(changes)
    return digest_json(content)


def train(
    recipe: Recipe,
    *,
    device: str,
    wait: float,
    fresh: bool = False,
    resume_unfinished: bool = False,
    parent: Version | None = None,
    deterministic: bool = False,
    tensorboard: bool = False,
) -> Version:
    """Train a recipe and publish the model; existing tokenizers, corpora and models are reused.

    `parent`: the model to fine-tune, whose tokenizer and weights training starts from.
    Raises: ResourceError if an unfinished run with the same key exists and `resume_unfinished` is false; UsageError if
    the recipe does not fit the parent, or is encoder-only, or several processes are to train on one GPU.
    """
    refuse_encoder_only(recipe)
    context = RunContext.current(wait, tensorboard)
    if context.distributed.size > 1 and ":" in device:
        hint = "--device cuda, with CUDA_VISIBLE_DEVICES to choose the GPUs"
        raise UsageError(f"--device {device}: each of several processes needs a GPU of its own", hint)
    Registry.default().check_writable(recipe.name)
    if parent:
        recipe = inherit_from(recipe, parent)
    with process_group(context.distributed):
        tokenizer = parent.read("tokenizer.model") if parent else None
        corpus = context.corpus(recipe, tokenizer)
        key = run_key(recipe, corpus, parent)

        def find() -> Version | Path | None:
            return None if fresh else find_existing(recipe.name, key, resume_unfinished)

        existing = context.distributed.broadcast_from_main(find)
        if not existing:
            with context.leased(device, f"s2s train {recipe.name}") as name:
                # while this process waited for the device, another may have trained the recipe
                existing = context.distributed.broadcast_from_main(find)
                if not existing:
                    directory = context.distributed.broadcast_from_main(
                        lambda: create_run(recipe, corpus, key, name, context, parent, deterministic)
                    )
                    with only_writer(directory, context):
                        return execute_run(directory, recipe, corpus, context, name)
        if isinstance(existing, Version):
            log.info(f"{existing.reference} is this recipe, trained on {existing.published[:10]}; --fresh trains anew")
            return existing
        return resume_run(existing, recipe, corpus, context)


def resume(
    name: str,
    *,
    wait: float,
    allowed: Sequence[str] = (),
    tensorboard: bool = False,
) -> Version:
    """Resume an unfinished run from its last checkpoint, on the device it started on, and publish the model.

    `allowed`: names of settings that may have changed since the run was created.
    Raises: UsageError if the run is finished, or if another setting has changed; the message lists the changes.
    """
    context = RunContext.current(wait, tensorboard)
    directory = find_run(name, unfinished=True)
    record = RunRecord.read(directory)
    if record.published:
        hint = f"s2s train RECIPE --from {record.published} trains on from its weights"
        raise UsageError(f"run {directory.name} is finished: {record.published}", hint)
    recipe = recipe_of_run(directory)
    tokenizer = directory / PARENT_TOKENIZER
    with process_group(context.distributed):
        corpus = context.corpus(recipe, tokenizer.read_bytes() if tokenizer.is_file() else None)
        return resume_run(directory, recipe, corpus, context, allowed)


def find_existing(name: str, key: str, resume_unfinished: bool) -> Version | Path | None:
    """Return the published version with a key, the directory of an unfinished run, or None.

    Raises: ResourceError if there is an unfinished run and `resume_unfinished` is false.
    """
    if versions := Registry.default().published_with(name, key):
        return versions[-1]
    unfinished = unfinished_run(name, key)
    if unfinished and not resume_unfinished:
        if process := lock_holder(unfinished / LOCK):
            raise ResourceError(
                f"process {process} is training run {unfinished.name} of this recipe", "--fresh trains anew"
            )
        raise ResourceError(
            f"run {unfinished.name} of this recipe is not finished",
            f"s2s resume {unfinished.name} resumes it; --fresh trains anew",
        )
    return unfinished


def resume_run(
    directory: Path, recipe: Recipe, corpus: Corpus, context: RunContext, allowed: Sequence[str] = ()
) -> Version:
    """Resume a run from its last checkpoint after checking that only allowed settings have changed.

    If another process has finished it meanwhile, return what that has published.
    """
    log.info(f"resuming run {directory.name}")
    record = RunRecord.read(directory)
    checked = check_unchanged(record, recipe, corpus, context.distributed.size, allowed)
    for change in checked.changes[len(record.changes) :]:
        log.warning("%s: the resumed run will not be bit-exact; its card will say so", change)
    if limit_parts(recipe.training.stop_after)[1] == "minutes":
        log.info("stop_after is in minutes: the resumed run may end at another update than an uninterrupted one")
    with context.leased(record.device, f"s2s resume {directory.name}") as name, only_writer(directory, context):
        record = context.distributed.broadcast_from_main(lambda: RunRecord.read(directory))  # as it is after waiting
        if record.published:
            log.info(f"run {directory.name} is finished: {record.published}")
            return Registry.default().resolve(record.published)
        checked = check_unchanged(record, recipe, corpus, context.distributed.size, allowed)
        if checked.recipe != (record.recipe or checked.recipe) or checked.corpus != record.corpus:
            parent = find_parent(record.parent) if record.parent else None
            checked = replace(checked, key=run_key(recipe, corpus, parent, checked.changes))
        context.distributed.broadcast_from_main(lambda: checked.write(directory))
        return execute_run(directory, recipe, corpus, context, name)


@contextlib.contextmanager
def only_writer(directory: Path, context: RunContext) -> Iterator[None]:
    """Lock a run for its main process while the block runs. Raises ResourceError if another training holds it."""
    with contextlib.ExitStack() as stack:
        if context.distributed.main:
            refuse_links(directory)
            stack.enter_context(exclusive_lock(directory / LOCK, f"training run {directory.name}"))
        yield


def create_run(
    recipe: Recipe,
    corpus: Corpus,
    key: str,
    device: str,
    context: RunContext,
    parent: Version | None,
    deterministic: bool,
) -> Path:
    """Create the directory of a run and record its fixed settings, after checking that the recipe can be trained."""
    network = meta_model(recipe)
    if parent:
        load_parent(network, parent)
    freeze(network, recipe.training.freeze)
    size = count_parameters(network)
    precision = choose_precision(recipe.training.precision, resolve_device(device), size)
    record = RunRecord(
        key=key,
        name=recipe.name,
        corpus=corpus.digest,
        device=device,
        precision=precision,
        threads=max(1, threads_for(size, recurrent=recipe.model.recurrent) // context.distributed.local_size),
        created=now(),
        recipe=recipe.as_dict(),
        tokenizer=corpus.ledger.tokenizer.digest,
        processes=context.distributed.size,
        micro_batch_tokens=_micro_batch_tokens(
            recipe, corpus, resolve_device(device), precision, context, deterministic
        ),
        deterministic=deterministic,
        parent=parent.reference if parent else None,
        code=CODE,
        versions=package_versions(),
        features=cpu_features(),
    )
    directory = unused_directory(f"{recipe.name}-{key[:8]}")
    write_bytes(directory / RECIPE, tomli_w.dumps(recipe.as_dict()).encode())
    if parent:
        write_bytes(directory / PARENT_TOKENIZER, corpus.tokenizer)
    record.write(directory)
    return directory


def _micro_batch_tokens(
    recipe: Recipe,
    corpus: Corpus,
    device: torch.device,
    precision: Precision,
    context: RunContext,
    deterministic: bool,
) -> int:
    """Return the tokens to compute at once, 0 for the whole batch; `auto` tries on a GPU what fits.

    A network that is to be sharded may be too large to be tried by one process: there the estimate decides.
    """
    if recipe.training.micro_batch_tokens != "auto":
        return recipe.training.micro_batch_tokens
    batches = TrainingBatches(corpus.split("train"), Tokenizer(corpus.tokenizer), recipe)
    processes = context.distributed.size
    if device.type == "cpu" or (recipe.training.parallel == "fsdp" and processes > 1):
        local_size = context.distributed.local_size
        return micro_batch_that_fits(recipe, batches.examples(0), str(device), precision, processes, local_size)
    prepare(device, usable_threads(), precision, deterministic=deterministic)  # PyTorch looks for its settings once
    network = build_model(recipe.model, corpus.ledger.tokenizer.tokens).train()
    learner = Learner(network, recipe.training, device, precision, DistributedContext())
    return try_largest_batches(learner, batches.examples(0), batches.of_epoch(0), 0)


def unused_directory(name: str) -> Path:
    """Return the path of a new run: `name`, or `name-2` and so on if that exists."""
    count = 1
    while (directory := runs_directory() / (name if count == 1 else f"{name}-{count}")).exists():
        count += 1
    return directory


def execute_run(directory: Path, recipe: Recipe, corpus: Corpus, context: RunContext, device_name: str) -> Version:
    """Train on a leased device from the run's last checkpoint, or from the start; then test and publish the model.

    This process holds the run's lock.
    """
    record, distributed = RunRecord.read(directory), context.distributed
    with contextlib.ExitStack() as stack:
        training_log = TrainingLog(recipe.name, directory if distributed.main else None, context.tensorboard)
        stack.enter_context(training_log)
        stop = stack.enter_context(StopSignals(launched=distributed.launched))
        device = resolve_device(device_name)
        prepare(device, record.threads, record.precision, deterministic=record.deterministic)
        corpus.split("test")  # mapped now, in case the corpus is removed meanwhile
        network = initial_network(record, recipe, corpus)
        translator = RecipeTranslator(PyTorchEngine(network, device), Tokenizer(corpus.tokenizer), recipe)
        log_start(training_log, directory, record, recipe, network, device)
        trainer = Trainer(
            corpus,
            translator,
            network,
            record.precision,
            directory,
            training_log,
            stop=stop,
            distributed=distributed,
            micro_batch_tokens=record.micro_batch_tokens,
        )
        if distributed.rank:  # other dropout masks than the main process, whose are those of a single process
            torch.manual_seed(recipe.training.seed + distributed.rank)
        trainer.resume()
        state = fit(trainer, directory, training_log)
        updates = trainer.final_updates()
        averaged = updates if updates == trainer.averaged_updates() else []

        def finish() -> Version:
            sharded = is_sharded(network)
            whole = build_model(recipe.model, corpus.ledger.tokenizer.tokens) if sharded else network
            trainer.load_final_weights(whole, updates)
            files = write_files(directory, translator, whole)
            translator.engine.model = whole.to(device)
            return publish(directory, files, record, corpus, translator, whole, state, averaged, training_log)

        with hint_on_failure(f"s2s resume {directory.name} publishes the model without training again"):
            return distributed.broadcast_from_main(finish)


def log_start(
    training_log: TrainingLog,
    directory: Path,
    record: RunRecord,
    recipe: Recipe,
    network: Network,
    device: torch.device,
) -> None:
    """Log the network, the run's name and how it computes; warn of more threads than may be used and small batches."""
    training_log.message(f"{recipe.name}: {recipe.model.describe()}; {count_parameters(network):,} parameters")
    threads = counted(record.threads, "thread")
    processes = f", {record.processes} processes ({recipe.training.parallel})" if record.processes > 1 else ""
    training_log.message(f"run {directory.name}; {device}, {record.precision}, {threads}{processes}")
    if record.threads > usable_threads():
        usable = counted(usable_threads(), "thread")
        log.warning("the run computes with %s as before, so that it is exact, but only %s may be used", threads, usable)
    share = recipe.training.batch_tokens // record.processes
    if device.type == "cuda" and record.processes > 1 and share < FEW_TOKENS:
        log.warning("each GPU computes only %s tokens of a batch; raise training.batch_tokens", f"{share:,}")


def initial_network(record: RunRecord, recipe: Recipe, corpus: Corpus) -> Network:
    """Return the network before its first update, initialized from the seed or from the parent."""
    torch.manual_seed(recipe.training.seed)
    network = build_model(recipe.model, corpus.ledger.tokenizer.tokens)
    if record.parent:
        load_parent(network, find_parent(record.parent))
    freeze(network, recipe.training.freeze)
    return network


def fit(trainer: Trainer, directory: Path, training_log: TrainingLog) -> TrainState:
    """Train and return the final state; if training ends early, add a hint about how to resume it."""
    hint = f"s2s resume {directory.name} continues from"
    try:
        with hint_on_failure(f"{hint} the last checkpoint"):
            return trainer.run()
    except StoppedError as stopped:
        message = f"{stopped.message} at update {trainer.state.update:,}; checkpoint saved"
        training_log.write(message)
        raise StoppedError(stopped.signal, message, f"{hint} there") from stopped
    except S2SError as error:
        training_log.write(f"stopped: {error.message}")
        raise
    except RuntimeError as error:
        if not is_lost_process(error):
            raise
        raise LostProcessError(f"{hint} the last checkpoint") from error
    except KeyboardInterrupt:
        training_log.message(f"stopped; {hint} the last checkpoint")
        raise


@contextlib.contextmanager
def hint_on_failure(hint: str) -> Iterator[None]:
    """Add a hint to errors of the block, and to a signal."""
    try:
        yield
    except (S2SError, StoppedError) as error:
        error.hint = f"{error.hint}; {hint}" if error.hint else hint
        raise
