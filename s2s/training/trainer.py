"""The training loop: batches, updates, validations and checkpoints, until the limit or until nothing gets better."""

import time
from contextlib import nullcontext
from dataclasses import asdict
from math import inf, isfinite
from pathlib import Path

import numpy as np

from s2s.data.batching import Rows, plan_batches
from s2s.data.collate import Sentences
from s2s.data.corpus import Corpus
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.devices.memory import peak_memory
from s2s.devices.select import Precision
from s2s.errors import S2SError, StoppedError
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.recipe.training import limit_parts
from s2s.training.averaging import MovingAverage, Weights, mean_of
from s2s.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    drop_checkpoints,
    load_checkpoint,
    load_latest,
    prune_checkpoints,
    save_checkpoint,
)
from s2s.training.distributed import DistributedContext
from s2s.training.optimizer import learning_rate, optimizer_tensors, restore_optimizer
from s2s.training.progress import Report, TrainingProgress
from s2s.training.rng import random_state, restore_random
from s2s.training.signals import StopSignals
from s2s.training.state import Position, Window
from s2s.training.step import Outcome, Updater
from s2s.training.validation import Validation, validate

SHOWN = 48  # characters of a sample
SHOW_SECONDS = 0.25  # between two looks at where the training stands
SKIPS = 5  # updates in a row without a finite loss and gradient, after which training goes back to a checkpoint
RETURNS = 3  # times that it does, at half the learning rate each, before it gives up


class Trainer:
    """Trains one model on one corpus, in a run's directory. Public: `position`."""

    def __init__(
        self,
        corpus: Corpus,
        translator: Translator[PyTorchEngine],
        network: EncoderDecoder,
        precision: Precision,
        directory: Path,
        progress: TrainingProgress,
        *,
        stop: StopSignals,
        world: DistributedContext | None = None,
        micro_batch_tokens: int = 0,
    ) -> None:
        """`network` is the one `translator` translates with; `precision` is what matrix products are computed in.

        `stop` says when a signal has asked to end, `world` which of several processes this is.
        """
        self.options = translator.recipe.training
        self.translator = translator
        self.network = network
        self.device = translator.engine.device
        self.checkpoints, self.stopped = directory / "checkpoints", directory / "stopped"
        self.progress = progress
        self.stop = stop
        self.world = world or DistributedContext()
        self.train, self.validation = corpus.split("train"), corpus.split("validation")
        self.updater = Updater(network, self.options, self.device, precision, self.world)
        self.updater.micro_batch_tokens = micro_batch_tokens
        alpha = self.options.subword_regularization
        self.sampler = translator.tokenizer.sampler(alpha) if alpha else None
        self.average = MovingAverage(network, self.options.ema) if self.options.ema else None
        self.position = Position(micro_batch_tokens=micro_batch_tokens)
        self.window = Window(time.perf_counter())
        self.limit, self.limit_unit = limit_parts(self.options.stop_after)
        self.interval, self.interval_unit = limit_parts(self.options.validate_every)
        self._warned = False
        self._plan: tuple[int, list[Rows]] = (-1, [])

    def resume(self) -> None:
        """Go back to the newest whole checkpoint, where there is one."""
        checkpoint = load_latest([self.checkpoints, self.stopped])
        if checkpoint is not None:
            self._restore(checkpoint)

    def run(self) -> Position:
        """Train from where the position stands to the end, and leave the checkpoints in the run's directory.

        Raises: StoppedError after a signal, when what has been trained is saved; S2SError where the training diverges.
        """
        with self.stop.held():
            try:
                self._train()
            except StoppedError:
                self._save_stopped()
                raise
        return self.position

    def final_weights(self) -> Weights:
        """What is to be published: the best checkpoint's weights, or the mean of those to be averaged."""
        updates = self.averaged_updates() or [self.position.best_update]
        return mean_of([load_checkpoint(checkpoint_path(self.checkpoints, update)).trained for update in updates])

    def averaged_updates(self) -> list[int]:
        """The updates whose checkpoints are to be averaged; none where that is not asked for."""
        which, _, count = self.options.averaging.partition(":")
        if which == "none":
            return []
        figures = self.position.figures
        if which == "best":
            figures = sorted(figures, key=lambda one: one[1])
        return sorted(update for update, _ in figures[-int(count) :])

    def _train(self) -> None:
        self.network.train()
        if self._due():
            self._validate_and_save()  # a stop has cut it short
        while not self._finished():
            self._update()
            if self._due():
                self._validate_and_save()
            self._check_stop()
        if self.position.validated < self.position.update:
            self._validate_and_save()

    def _due(self) -> bool:
        """Whether the position is one to be validated and saved, and has not been."""
        position = self.position
        if position.update in {position.validated, 0}:
            return False
        if self.interval_unit == "updates":
            return position.update % self.interval == 0
        return position.batch == 0 and position.epoch % self.interval == 0

    def _finished(self) -> bool:
        over = self._done() >= 1 or 0 < self.options.patience <= self.position.worse
        return bool(self.world.all_reduce_max(int(over))) if self.limit_unit == "minutes" else over

    def _done(self) -> float:
        """The share of the limit that is reached, 0 to 1 and, in tokens and minutes, a little more."""
        position = self.position
        match self.limit_unit:
            case "updates":
                return position.update / self.limit
            case "tokens":
                return position.tokens / self.limit
            case "minutes":
                return self._seconds() / 60 / self.limit
            case "epochs":
                return (position.epoch + position.batch / len(self._batches())) / self.limit

    def _seconds(self) -> float:
        return self.position.seconds + time.perf_counter() - self.window.begun

    def _check_stop(self) -> None:
        if number := self.world.all_reduce_max(self.stop.received or 0):
            raise StoppedError(number)

    def _batches(self) -> list[Rows]:
        """The batches of the epoch under way."""
        if self._plan[0] != self.position.epoch:
            lengths = self.train.source_lengths, self.train.target_lengths
            planned = plan_batches(*lengths, self.options.batch_tokens, self.options.seed, self.position.epoch)
            self._plan = self.position.epoch, planned
        return self._plan[1]

    def _update(self) -> None:
        """One step on the next batch."""
        position, batches = self.position, self._batches()
        rows = batches[position.batch]
        rate = position.lr_factor * learning_rate(self.options, position.update, min(1.0, self._done()))
        outcome = self.updater.update(*self._sentences(rows), rate)
        position.update += 1
        position.batch += 1
        position.tokens += outcome.tokens
        if position.batch == len(batches):
            position.epoch, position.batch = position.epoch + 1, 0
        self.window.add(outcome, rate)
        self._note_memory()
        if not outcome.taken:
            self._skipped(rows, outcome)
            return
        position.skipped_in_a_row = 0
        if self.average:
            self.average.add(position.update)
        self._report()

    def _sentences(self, rows: Rows) -> tuple[Sentences, Sentences]:
        """Sources and targets of a batch as tokens: those of the corpus, or sampled anew."""
        if self.sampler is None:
            return self.train.tokens(rows)
        sources, targets = self.train.texts(rows)
        place = [self.options.seed, self.position.epoch, self.position.batch]
        seed = int(np.random.SeedSequence(place).generate_state(1)[0])
        tokens = self.sampler.sample([*sources, *targets], seed)
        return tokens[: len(sources)], tokens[len(sources) :]

    def _note_memory(self) -> None:
        """Keep what memory has made of the micro-batches: a run that is resumed goes on with them."""
        position, now = self.position, self.updater.micro_batch_tokens
        if now != position.micro_batch_tokens:
            position.micro_batch_tokens, position.splits = now, position.splits + 1
            self.progress.message(
                f"out of memory in update {position.update}: computed again, from now on {now:,} tokens at once"
            )
            self.progress.record("out of memory", {"update": position.update, "micro_batch_tokens": now})

    def _skipped(self, rows: Rows, outcome: Outcome) -> None:
        """Count an update that was not taken; after several in a row, go back."""
        position = self.position
        position.skipped += 1
        position.skipped_in_a_row += 1
        what = f"loss {outcome.loss:g}, gradient's norm {outcome.norm:g}"
        self.progress.message(f"update {position.update} skipped: {what}; log.txt names its lines")
        self.progress.log(f"lines of the skipped update: {', '.join(self.train.places(rows))}")
        record = {"update": position.update, "loss": str(outcome.loss), "gradient_norm": str(outcome.norm)}
        self.progress.record("skipped", record)
        if position.skipped_in_a_row >= SKIPS:
            self._go_back()

    def _go_back(self) -> None:
        """To the last good checkpoint, at half the learning rate."""
        returns, factor, skipped = self.position.returns + 1, self.position.lr_factor / 2, self.position.skipped
        checkpoint = load_latest([self.checkpoints])
        why = f"the loss or its gradient was not finite in {SKIPS} updates in a row"
        if checkpoint is None or returns > RETURNS:
            tried = f", after {RETURNS} returns to a checkpoint, too" if checkpoint else " before the first checkpoint"
            hint = "lower training.lr, lengthen training.warmup, or look at the lines that log.txt names"
            raise S2SError(f"the training diverges: {why}{tried}", hint)
        self._restore(checkpoint)
        self.position.returns, self.position.lr_factor, self.position.skipped = returns, factor, skipped
        self.position.skipped_in_a_row = 0
        self.progress.message(f"{why}: back to update {self.position.update}, at {factor:g} of the learning rate")

    def _report(self) -> None:
        """Show where the training stands, now and then; record it every so many updates."""
        record = self.position.update % self.options.log_every == 0
        if not record and time.perf_counter() - self.window.shown < SHOW_SECONDS:
            return
        self.window.shown = time.perf_counter()
        report = self._standing(of_all=record)
        self.progress.show(report)
        if record:
            self.progress.record_report(report)
            self._close_window()

    def _standing(self, *, of_all: bool) -> Report:
        """Where the training stands; the loss `of_all` processes, or of this one's share."""
        window, done, seconds = self.window, min(1.0, self._done()), self._seconds()
        sums = window.loss, float(window.share)
        loss, share = map(self.world.all_reduce_sum, sums) if of_all else sums
        return Report(
            update=self.position.update,
            epoch=self.position.epoch + 1,
            done=done,
            tokens=self.position.tokens,
            loss=loss / max(share, 1.0),
            lr=window.rate,
            tokens_per_second=window.tokens / max(time.perf_counter() - window.begun, 1e-9),
            gradient_norm=window.norm,
            memory=peak_memory(self.device),
            seconds=seconds,
            seconds_left=seconds * (1 - done) / done,
        )

    def _close_window(self) -> None:
        """Add the window's time to the position, and begin another."""
        if self.window.tokens:
            self.position.seconds = self._seconds()
        self.window = Window(time.perf_counter())

    def _validate_and_save(self) -> None:
        self._close_window()
        validation = self._validated()
        better = self._remember(validation)
        self._tell(validation, better)
        self._save(self.checkpoints)
        self.world.broadcast_from_main(self._tidy)
        self.window = Window(time.perf_counter())

    def _validated(self) -> Validation:
        """What the first process finds, in all of them. Raises StoppedError where a signal came meanwhile."""
        found = self.world.broadcast_from_main(self._validate)
        if isinstance(found, int):
            raise StoppedError(found)
        return found

    def _validate(self) -> Validation | int:
        """A validation, or the signal that has cut it short."""
        self.network.eval()
        try:
            with self.stop.released(), self.average.in_place() if self.average else nullcontext():
                lines, turn = self.options.validation_lines, self.position.update
                return validate(self.translator, self.validation, lines, turn)
        except StoppedError as stopped:
            return stopped.signal
        finally:
            self.network.train()

    def _save(self, directory: Path) -> None:
        state = {"position": asdict(self.position), "random": self.world.all_gather(random_state())}
        tensors = optimizer_tensors(self.updater.optimizer)
        average = self.average.weights if self.average else None
        checkpoint = Checkpoint(self.network.weights(), tensors, state, average)
        self.world.broadcast_from_main(lambda: save_checkpoint(directory, self.position.update, checkpoint))

    def _tidy(self) -> None:
        """Remove the checkpoints that the newest makes superfluous."""
        kept = {self.position.best_update, *self.averaged_updates()}
        prune_checkpoints(self.checkpoints, self.options.keep_checkpoints, kept)
        drop_checkpoints(self.stopped)

    def _save_stopped(self) -> None:
        """Keep what has been trained since the last scheduled checkpoint; it counts for going on alone."""
        self._close_window()
        if self.position.validated < self.position.update:
            self._save(self.stopped)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.network.load_weights(checkpoint.model)
        if self.average and checkpoint.average:
            self.average.load(checkpoint.average)
        restore_optimizer(self.updater.optimizer, checkpoint.optimizer)
        self.position = Position(**checkpoint.state["position"])
        self.updater.micro_batch_tokens = self.position.micro_batch_tokens
        restore_random(checkpoint.state["random"], self.world.rank)
        self.window = Window(time.perf_counter())

    def _remember(self, validation: Validation) -> bool:
        """Note a validation in the position; whether it is the best so far."""
        position, figure = self.position, validation.figure(self.options.best_metric)
        position.validated = position.update
        position.figures = [*position.figures, (position.update, figure)]
        if figure > position.best or not position.best_update:  # the first one counts, though it be infinite
            position.best = figure if isfinite(figure) else -inf
            position.best_update, position.worse = position.update, 0
            return True
        position.worse += 1
        if self.options.lr_schedule == "plateau" and position.worse % self.options.plateau_patience == 0:
            position.lr_factor /= 2
            self.progress.message(f"nothing got better: the learning rate is halved, to {position.lr_factor:g} of it")
        return False

    def _tell(self, validation: Validation, better: bool) -> None:
        scores = f"  BLEU {validation.bleu:.1f}" if validation.bleu is not None else ""
        if self.options.best_metric == "chrf":
            scores += f"  chrF {validation.chrf:.1f}"
        sample = f"   {_begun(validation.sample[0])} → {_begun(validation.sample[1])}" if validation.sample else ""
        mark = " ▲" if better else ""
        standing = f"  validation  update {self.position.update}  loss {validation.loss:.3f}"
        self.progress.message(f"{standing}{scores}{mark}{sample}")
        if validation.bleu == 0 and self._done() > 0.5 and not self._warned:
            self._warned = True
            self.progress.message(
                "warning: BLEU is exactly 0 in the second half of the training: not one word is right, or no "
                "translation has four words; are source and target files each other's translations, line by line?"
            )
        self.progress.record("validation", {"update": self.position.update, "better": better} | asdict(validation))


def _begun(text: str) -> str:
    """A sentence, or the beginning of a long one."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
