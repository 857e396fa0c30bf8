"""The training loop: batches, updates, validations and checkpoints, until the limit or until nothing gets better."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2s.data.batches import Rows, pair_batch, plan_batches
from s2s.data.corpus import Corpus
from s2s.decoding.translator import Translator
from s2s.devices import Precision
from s2s.models.seq2seq import Seq2Seq
from s2s.recipe.schema import limit_parts
from s2s.training.checkpoint import Checkpoint, load_latest, prune_checkpoints, save_checkpoint
from s2s.training.optimizer import build_optimizer, learning_rate, optimizer_tensors, restore_optimizer
from s2s.training.progress import Report, TrainingProgress
from s2s.training.validation import Validation, validate

LOG_EVERY = 50  # updates between two lines of metrics.jsonl
SHOWN = 48  # characters of a sample
SHOW_SECONDS = 0.25  # between two looks at the loss, which on a GPU wait for it


@dataclass(slots=True)
class Position:
    """Where a training stands, as a checkpoint keeps it.

    Updates done, epoch (from 0) and batches of it done, the update last validated, the best figure and its update,
    validations since without a better one, target pieces and seconds of training.
    """

    update: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = -float("inf")
    best_update: int = 0
    worse: int = 0
    validated: int = -1
    pieces: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Window:
    """What has been trained since the last record: when it began, when it was shown, sums of loss and tokens."""

    begun: float
    shown: float = 0.0
    losses: list[Tensor] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)
    norm: Tensor | None = None


class Trainer:
    """Trains one model on one corpus, in a run's folder."""

    def __init__(
        self,
        corpus: Corpus,
        translator: Translator,
        network: Seq2Seq,
        precision: Precision,
        folder: Path,
        progress: TrainingProgress,
    ) -> None:
        """`network` is the one `translator` translates with; `precision` is what matrix products are computed in."""
        self.options = translator.recipe.training
        self.translator = translator
        self.network = network
        self.device = translator.device
        self.precision = precision
        self.checkpoints = folder / "checkpoints"
        self.progress = progress
        self.train, self.validation = corpus.split("train"), corpus.split("validation")
        self.optimizer = build_optimizer(network, self.options)
        self.position = Position()
        self.window = Window(time.perf_counter())
        self.limit, self.limit_unit = limit_parts(self.options.limit)
        self.interval, self.interval_unit = limit_parts(self.options.validate_every)

    def resume(self) -> None:
        """Go back to the newest whole checkpoint, where there is one."""
        checkpoint = load_latest(self.checkpoints, self.progress.message)
        if checkpoint is None:
            return
        self.network.load_weights(checkpoint.model)
        restore_optimizer(self.optimizer, checkpoint.optimizer)
        self.position = Position(**checkpoint.state["position"])
        restore_random(checkpoint.state["random"])

    def run(self) -> Position:
        """Train from where the position stands to the end, and leave the best checkpoint in the run's folder."""
        self.network.train()
        while not self._finished():
            self._epoch()
        if self.position.validated < self.position.update:
            self._validate_and_save()
        return self.position

    def _epoch(self) -> None:
        """The rest of the epoch under way."""
        batches = plan_batches(
            self.train.source_lengths,
            self.train.target_lengths,
            self.options.batch_tokens,
            self.options.seed,
            self.position.epoch,
        )
        for rows in batches[self.position.batch :]:
            self._update(rows, self._done(len(batches)))
            self._report(self._done(len(batches)))
            if self.interval_unit == "updates" and self.position.update % self.interval == 0:
                self._validate_and_save()
            if self._finished():
                return
        self.position.epoch += 1
        self.position.batch = 0
        if self.interval_unit == "epochs" and self.position.epoch % self.interval == 0:
            self._validate_and_save()

    def _done(self, batches: int) -> float:
        """The share of the limit that is reached, 0 to 1."""
        if self.limit_unit == "updates":
            return self.position.update / self.limit
        return (self.position.epoch + self.position.batch / batches) / self.limit

    def _finished(self) -> bool:
        reached = self.position.update if self.limit_unit == "updates" else self.position.epoch
        return reached >= self.limit or 0 < self.options.patience <= self.position.worse

    def _update(self, rows: Rows, done: float) -> None:
        """One step of the optimizer on one batch."""
        batch = pair_batch(*self.train.pieces(rows), self.device)
        rate = learning_rate(self.options, self.position.update, done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            sums = self.network(batch)
        self.optimizer.zero_grad(set_to_none=True)
        (sums.loss / sums.tokens).backward()
        largest = self.options.clip_norm or float("inf")
        self.window.norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), largest, foreach=True)
        self.optimizer.step()
        self.window.losses.append(sums.loss.detach())
        self.window.tokens.append(sums.tokens)
        self.position.update += 1
        self.position.batch += 1

    def _report(self, done: float) -> None:
        """Show where the training stands, now and then; record it every so many updates."""
        record = self.position.update % LOG_EVERY == 0
        if not record and time.perf_counter() - self.window.shown < SHOW_SECONDS:
            return
        self.window.shown = time.perf_counter()
        report = self._standing(done)
        self.progress.show(report)
        if record:
            self.progress.record_report(report)
            self._close_window()

    def _standing(self, done: float) -> Report:
        elapsed = time.perf_counter() - self.window.begun
        seconds = self.position.seconds + elapsed
        tokens = float(torch.stack(self.window.tokens).sum())
        return Report(
            update=self.position.update,
            epoch=self.position.epoch + 1,
            done=done,
            loss=float(torch.stack(self.window.losses).sum()) / tokens,
            lr=self.optimizer.param_groups[0]["lr"],
            tokens_per_second=tokens / elapsed,
            gradient_norm=float(self.window.norm) if self.window.norm is not None else 0.0,
            seconds=seconds,
            seconds_left=seconds * (1 - done) / done,
        )

    def _close_window(self) -> None:
        """Add the window to the position, and begin another."""
        if self.window.tokens:
            self.position.pieces += int(torch.stack(self.window.tokens).sum())
            self.position.seconds += time.perf_counter() - self.window.begun
        self.window = Window(time.perf_counter())

    def _validate_and_save(self) -> None:
        self._close_window()
        self.network.eval()
        validation = validate(self.translator, self.validation, self.options.validation_lines, self.position.update)
        self.network.train()
        better = self._remember(validation)
        self._tell(validation, better)
        state = {"position": asdict(self.position), "random": random_state()}
        tensors = optimizer_tensors(self.optimizer)
        save_checkpoint(self.checkpoints, self.position.update, Checkpoint(self.network.weights(), tensors, state))
        prune_checkpoints(self.checkpoints, self.options.keep_checkpoints, self.position.best_update)
        self.window = Window(time.perf_counter())

    def _remember(self, validation: Validation) -> bool:
        """Note a validation in the position; whether it is the best so far."""
        position, figure = self.position, validation.figure(self.options.best_by)
        position.validated = position.update
        if figure <= position.best:
            position.worse += 1
            return False
        position.best, position.best_update, position.worse = figure, position.update, 0
        return True

    def _tell(self, validation: Validation, better: bool) -> None:
        bleu = f"  BLEU {validation.bleu:.1f}" if validation.bleu is not None else ""
        sample = f"   {_begun(validation.sample[0])} → {_begun(validation.sample[1])}" if validation.sample else ""
        mark = " ▲" if better else ""
        standing = f"  validation  update {self.position.update}  loss {validation.loss:.3f}"
        self.progress.message(f"{standing}{bleu}{mark}{sample}")
        self.progress.record("validation", {"update": self.position.update, "better": better} | asdict(validation))


def _begun(text: str) -> str:
    """A sentence, or the beginning of a long one."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def random_state() -> dict[str, Any]:
    """The states of torch's random generators, as JSON can hold them."""
    state = {"cpu": torch.get_rng_state().numpy().tobytes().hex()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return state


def restore_random(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(_as_tensor(state["cpu"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(_as_tensor(state["cuda"]))


def _as_tensor(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
