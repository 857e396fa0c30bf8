"""The training loop: updates, validations and checkpoints, until the limit or until nothing improves."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from s2s.data.collate import source_batch
from s2s.data.corpus import Corpus
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.devices.memory import peak_memory
from s2s.devices.runtime import Precision
from s2s.errors import ArtefactError, S2SError, StoppedError
from s2s.metrics.scores import SHORT_REFERENCES
from s2s.models.interface import Source
from s2s.models.network import Network
from s2s.models.weights import is_finite
from s2s.recipe.training import limit_parts
from s2s.training.averaging import MovingAverage, recompute_batch_norm
from s2s.training.batches import TrainingBatches
from s2s.training.checkpoint import StoredCheckpoint
from s2s.training.checkpoint_manager import CheckpointManager
from s2s.training.distributed import DistributedContext
from s2s.training.lr_schedule import learning_rate
from s2s.training.sharding import gathered, is_sharded, own_part
from s2s.training.signals import StopSignals
from s2s.training.state import MetricsWindow, TrainState
from s2s.training.step import Learner, StepResult, train_step_within_memory
from s2s.training.training_log import BLEU_WARNING, ProgressReport, TrainingLog
from s2s.training.validation import Share, Validation, combine_shares, compute_share, sharded_loss, translate_share

log = logging.getLogger(__name__)

SHOW_SECONDS = 0.25  # between two updates of the progress bar
MAX_SKIPS = 5  # updates in a row without a finite loss and gradient before a rollback to a checkpoint
STATISTICS_BATCHES = 50  # from which BatchNorm's statistics are computed
MAX_ROLLBACKS = 3  # rollbacks, each halving the learning rate, before training gives up


@dataclass(frozen=True, slots=True)
class Update:
    """An update whose figures have not been read."""

    result: StepResult
    lr: float
    number: int  # updates so far, this one included
    epoch: int
    index: int  # batch of the epoch


class Trainer:
    """Trains one model on one corpus, in a run's directory. Public: `state`."""

    def __init__(
        self,
        corpus: Corpus,
        translator: RecipeTranslator[PyTorchEngine],
        network: Network,
        precision: Precision,
        directory: Path,
        log: TrainingLog,
        *,
        stop: StopSignals,
        distributed: DistributedContext | None = None,
        micro_batch_tokens: int = 0,
    ) -> None:
        """Prepare a training. `network` is the one `translator` uses; `precision` is that of matrix products."""
        self.options = translator.recipe.training
        self.translator = translator
        self.network = network
        self.log = log
        self.stop = stop
        self.distributed = distributed or DistributedContext()
        self.batches = TrainingBatches(corpus.split("train"), translator.tokenizer, translator.recipe)
        self.validation_split = corpus.split("validation")
        self.learner = Learner(network, self.options, translator.engine.device, precision, self.distributed)
        self.average = MovingAverage(network, self.options.ema) if self.options.ema else None
        self.checkpoints = CheckpointManager(
            directory, network, self.learner, self.average, self.options.keep_checkpoints
        )
        self.state = TrainState(micro_batch_tokens=micro_batch_tokens)
        self.window = MetricsWindow(time.perf_counter())
        self._unread: Update | None = None
        self.limit, self.limit_unit = limit_parts(self.options.stop_after)
        self.interval, self.interval_unit = limit_parts(self.options.validate_every)
        self._warned = False
        self._start = (0.0, 0.0)  # fraction done and training time where this process began, or rolled back to

    def resume(self) -> None:
        """Restore the newest intact checkpoint, if there is one."""
        if checkpoint := self.checkpoints.latest():
            self._restore(checkpoint)
            self.log.message(f"continuing from the checkpoint of update {self.state.update:,}")

    def run(self) -> TrainState:
        """Train from the current state to the end, leaving checkpoints in the run's directory.

        Raises: StoppedError after a signal, once the training is saved; S2SError if the training diverges.
        """
        self.network.train()
        with self.stop.deferred():
            try:
                if self.should_validate():  # a signal interrupted this validation
                    self.validate_and_save()
                while not ((finished := self._finished()) and self.state.validated == self.state.update):
                    if not finished:
                        self.train_on_next_batch()
                    if finished or self.should_validate():
                        self.validate_and_save()
                    if signal := self.distributed.all_reduce_max(self.stop.received or 0):
                        raise StoppedError(signal)
            except StoppedError:
                self._account_for_last()
                self._close_window()
                if self.state.validated < self.state.update and self._weights_are_finite():
                    self.checkpoints.save(self.state, stopped=True)
                raise
        return self.state

    def train_on_next_batch(self) -> None:
        """Take one step on the next batch, and account for it."""
        state, epoch, index = self.state, self.state.epoch, self.state.batch
        if index == 0 and (shares := self.batches.mixture.describe(epoch)):
            self.log.message(shares)
        sources, targets = self.batches.pairs(epoch, index)
        lr = state.lr_factor * self._learning_rate()
        result = train_step_within_memory(
            self.learner, sources, targets, lr=lr, micro_batch_tokens=state.micro_batch_tokens
        )
        state.advance(result.tokens, len(self.batches.of_epoch(epoch)))
        if result.micro_batch_tokens != state.micro_batch_tokens:
            self._reduce_micro_batch(result.micro_batch_tokens)
        if self.average:
            self.average.update(state.update)
        previous, self._unread = self._unread, Update(result, lr, state.update, epoch, index)
        self._account(previous)  # one update late: a GPU meanwhile computes this one
        if self.state is state:  # not rolled back
            self._log_progress()

    def _account(self, update: "Update | None") -> None:
        """Read the figures of an update; count it as skipped if it was not applied."""
        if update is None:
            return
        self.window.add(update.result, update.lr)
        if update.result.applied:
            self.state.consecutive_skips = 0
        else:
            self._skip(update)

    def _account_for_last(self) -> None:
        """Read the figures of the last update, waiting for it."""
        last, self._unread = self._unread, None
        self._account(last)

    def _learning_rate(self) -> float:
        """Return the schedule's learning rate for the next update, the same in all processes."""
        done = min(1.0, self._fraction_done())
        if self.limit_unit == "minutes":  # clocks differ
            done = self.distributed.broadcast_from_main(lambda: done)
        if self.state.update == self.options.warmup:
            self.state.warmup_done = done
        return learning_rate(self.options, self.state.update, done, self.state.warmup_done)

    def should_validate(self) -> bool:
        """Return whether the current update ends a validation interval and is not validated yet."""
        state = self.state
        if state.update in {state.validated, 0}:
            return False
        if self.interval_unit == "updates":
            return state.update % self.interval == 0
        return state.batch == 0 and state.epoch % self.interval == 0

    def validate_and_save(self) -> None:
        """Validate, save a checkpoint, and remove those that are no longer needed.

        If weights or loss are not finite, roll back instead.
        """
        state = self.state
        self._account_for_last()
        if self.state is not state:  # rolled back
            return
        self._close_window()
        if not self._weights_are_finite():
            self.rollback("the weights are not finite")
            return
        outcome = self._validate()
        if isinstance(outcome, int):
            raise StoppedError(outcome)
        if not isfinite(outcome.loss):
            self.rollback("the validation loss is not finite")
            return
        better = self.state.update_best(outcome.metric(outcome.deciding(self.options.best_metric)))
        if not better:
            self._reduce_lr_on_plateau()
        self._log_validation(outcome, better)
        self.checkpoints.save(self.state)
        kept = {self.state.best_update, *self.averaged_updates()}
        self.distributed.broadcast_from_main(lambda: self.checkpoints.prune(kept))
        self.window = MetricsWindow(time.perf_counter())

    def _restore(self, checkpoint: StoredCheckpoint) -> None:
        self.state = self.checkpoints.restore(checkpoint)
        self.window, self._unread = MetricsWindow(time.perf_counter()), None
        self._start = (self._fraction_done(), self.state.seconds)

    def _weights_are_finite(self) -> bool:
        """Return whether all weights are finite, in all processes, which may have different parts of them."""
        finite = is_finite(own_part(self.network.weights(), main=True))
        return not self.distributed.all_reduce_max(int(not finite))

    def rollback(self, reason: str) -> None:
        """Return to the last intact checkpoint, at half the learning rate. Raises S2SError if that is hopeless."""
        rollbacks, factor, skipped = self.state.rollbacks + 1, self.state.lr_factor / 2, self.state.skipped
        checkpoint = self.checkpoints.latest(stopped=False)
        if checkpoint is None or rollbacks > MAX_ROLLBACKS:
            when = f", even after {MAX_ROLLBACKS} rollbacks" if checkpoint else " before the first checkpoint"
            hint = "lower training.lr, raise training.warmup, or check the lines listed in log.txt"
            raise S2SError(f"the training diverges: {reason}{when}", hint)
        self._restore(checkpoint)
        self.distributed.broadcast_from_main(self.checkpoints.discard_stopped)  # it would be resumed, as a later one
        self.state.rollbacks, self.state.lr_factor, self.state.skipped = rollbacks, factor, skipped
        self.state.consecutive_skips = 0
        self.log.message(f"{reason}: rolled back to update {self.state.update}, at {factor:g} × the learning rate")

    def progress_report(self, *, all_processes: bool) -> ProgressReport:
        """Report progress, with the loss of all processes (a collective operation) or of this one."""
        window, done, seconds = self.window, min(1.0, self._fraction_done()), self._seconds()
        started_at, started_after = self._start
        loss, tokens = window.loss, float(window.local_tokens)
        if all_processes:
            loss, tokens = self.distributed.all_reduce_sums(loss, tokens)
        return ProgressReport(
            update=self.state.update,
            epoch=self.state.epoch + 1,
            done=done,
            tokens=self.state.tokens,
            loss=loss / max(tokens, 1.0),
            lr=window.lr,
            tokens_per_second=window.tokens / max(time.perf_counter() - window.started, 1e-9),
            gradient_norm=window.gradient_norm,
            memory=peak_memory(self.learner.device),
            seconds=seconds,
            # by the speed of this process: a resumed run may have begun on another machine
            seconds_left=(seconds - started_after) * (1 - done) / max(done - started_at, 1e-9),
        )

    def averaged_updates(self) -> list[int]:
        """Return the updates whose checkpoints are averaged; empty if the recipe does not average checkpoints."""
        which, _, count = self.options.averaging.partition(":")
        if which == "none":
            return []
        validations = self.state.validations
        if which == "best":
            validations = sorted(validations, key=lambda validation: validation[1])
        return sorted(update for update, _ in validations[-int(count) :])

    def load_final_weights(self, network: Network, updates: Sequence[int]) -> None:
        """Load the weights to publish, from `final_updates`, into a network that is not sharded."""
        self.checkpoints.load_mean(updates, network)
        network.eval()
        recompute_batch_norm(network, self._first_sources())

    def _first_sources(self) -> Iterator[Source]:
        """Yield the sources of the first training batches; nothing is planned before the first is asked for."""
        for index in range(min(STATISTICS_BATCHES, len(self.batches.of_epoch(0)))):
            yield source_batch(self.batches.pairs(0, index)[0], self.learner.device)

    def final_updates(self) -> list[int]:
        """Return the updates whose checkpoints' mean is to be published. All processes call this.

        The best checkpoint alone, if the recipe does not average or the others are damaged; the best intact one, if it
        is damaged, too. Raises: ArtefactError if no checkpoint is intact.
        """
        averaged = self.averaged_updates()
        if averaged and self.checkpoints.intact(averaged) == averaged:
            return averaged
        by_metric = sorted(self.state.validations, key=lambda validation: -validation[1])
        best = next((update for update, _ in by_metric if self.checkpoints.intact([update])), None)
        if best is None:
            raise ArtefactError("all checkpoints of the run are damaged", "train anew with s2s train RECIPE --fresh")
        if averaged or best != self.state.best_update:
            log.warning("a checkpoint to publish is damaged; publishing that of update %s instead", f"{best:,}")
            self.state.best_update = best
        return [best]

    def _finished(self) -> bool:
        finished = self._fraction_done() >= 1 or 0 < self.options.patience <= self.state.bad_validations
        return bool(self.distributed.all_reduce_max(int(finished))) if self.limit_unit == "minutes" else finished

    def _fraction_done(self) -> float:
        """Return the fraction of the limit that is reached; with tokens and minutes it may exceed 1 slightly."""
        state = self.state
        match self.limit_unit:
            case "updates":
                return state.update / self.limit
            case "tokens":
                return state.tokens / self.limit
            case "minutes":
                return self._seconds() / 60 / self.limit
            case "epochs":
                return (state.epoch + state.batch / len(self.batches.of_epoch(state.epoch))) / self.limit

    def _seconds(self) -> float:
        return self.state.seconds + time.perf_counter() - self.window.started

    def _close_window(self) -> None:
        """Add the window's time to the state, and open a new window."""
        if self.window.tokens:
            self.state.seconds = self._seconds()
        self.window = MetricsWindow(time.perf_counter())

    def _reduce_micro_batch(self, tokens: int) -> None:
        """Use the smaller micro-batches from now on, also after the run is resumed."""
        self.state.micro_batch_tokens, self.state.oom_splits = tokens, self.state.oom_splits + 1
        self.log.message(f"out of memory in update {self.state.update}: retried with {tokens:,} tokens at once")
        self.log.record("out of memory", {"update": self.state.update, "micro_batch_tokens": tokens})

    def _skip(self, update: "Update") -> None:
        """Count an update that was not applied; after several in a row, roll back."""
        state, result = self.state, update.result
        state.skipped += 1
        state.consecutive_skips += 1
        reason = f"loss {result.loss:g}, gradient norm {result.gradient_norm:g}"
        self.log.message(f"update {update.number} skipped: {reason}; log.txt lists its lines")
        self.log.write(f"lines of the skipped update: {', '.join(self.batches.places(update.epoch, update.index))}")
        record = {"update": update.number, "loss": str(result.loss), "gradient_norm": str(result.gradient_norm)}
        self.log.record("skipped", record)
        if state.consecutive_skips >= MAX_SKIPS:
            self.rollback(f"the loss or its gradient was not finite in {MAX_SKIPS} consecutive updates")

    def _log_progress(self) -> None:
        """Show progress from time to time; record it every `log_every` updates."""
        record = self.state.update % self.options.log_every == 0
        if not record and time.perf_counter() - self.window.shown < SHOW_SECONDS:
            return
        if record:  # not where only the clock of this process decides: all must roll back after the same update
            state = self.state
            self._account_for_last()
            if self.state is not state or state.consecutive_skips:
                return
        if not self.window.tokens:
            return
        self.window.shown = time.perf_counter()
        report = self.progress_report(all_processes=record)
        self.log.show(report)
        if record:
            self.log.record_progress(report)
            self._close_window()

    def _validate(self) -> Validation | int:
        """Return the validation, of which every process computes its share, or the signal that interrupted it."""
        shares = self.distributed.all_gather(self._compute_share())
        if signals := [share for share in shares if isinstance(share, int)]:
            return signals[0]
        finished = [share for share in shares if not isinstance(share, int)]
        lines, recipe = self.options.validation_lines, self.translator.recipe
        return combine_shares(finished, self.validation_split, lines, self.state.update, recipe)

    def _compute_share(self) -> Share | int:
        """Return this process's share of the validation, or the signal that interrupted it."""
        own = slice(self.distributed.rank, None, self.distributed.size)
        split, lines = self.validation_split, self.options.validation_lines
        self.network.eval()
        try:
            with self.average.swapped_in() if self.average else nullcontext():
                if is_sharded(self.network):
                    loss = sharded_loss(self.network, split, self.learner.device, self.distributed)
                    with gathered(self.network) if lines else nullcontext(), self.stop.immediate():
                        return translate_share(self.translator, split, lines, own, loss)
                with self.stop.immediate():
                    recompute_batch_norm(self.network, self._first_sources())
                    return compute_share(self.translator, split, lines, own)
        except StoppedError as stopped:
            return stopped.signal
        finally:
            self.network.train()

    def _reduce_lr_on_plateau(self) -> None:
        if self.options.lr_schedule == "plateau" and self.state.bad_validations % self.options.plateau_patience == 0:
            self.state.lr_factor /= 2
            self.log.message(f"no improvement: learning rate halved, to {self.state.lr_factor:g} of its initial value")

    def _log_validation(self, validation: Validation, better: bool) -> None:
        metric = validation.deciding(self.options.best_metric)
        self.log.log_validation(self.state.update, validation, better=better, metric=metric)
        short = validation.headline == "chrf"
        late = validation.bleu == 0 and self._fraction_done() > 0.5
        if not self._warned and (short or late):
            self._warned = True
            self.log.message(SHORT_REFERENCES if short else BLEU_WARNING)
