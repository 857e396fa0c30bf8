"""Training log: a progress bar on a terminal, else a line every 30 seconds; log.txt and metrics.jsonl."""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.cells import cell_len
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from s2s.errors import ResourceError
from s2s.io.atomic import append_line
from s2s.io.json_values import format_json
from s2s.report.console import err
from s2s.report.format import clock
from s2s.training.validation import Validation

log = logging.getLogger(__name__)

PLAIN_SECONDS = 30.0  # between two progress lines without a terminal
WIDE = 90  # columns of a terminal from which progress has a name and a bar
SAMPLE_WIDTH = 48  # characters of a sample
BLEU_WARNING = (
    "warning: BLEU is exactly 0 in the second half of the training: no word is right, or no translation has four "
    "words. Are the source and target files translations of each other, line by line?"
)


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """The progress of a training at an update."""

    update: int
    epoch: int  # from 1
    done: float  # fraction of the training, 0 to 1
    tokens: int  # target tokens trained on
    loss: float  # nats per token, as trained
    lr: float
    tokens_per_second: float  # target tokens
    gradient_norm: float  # before clipping
    memory: int  # peak, bytes
    seconds: float  # training time so far
    seconds_left: float  # estimate

    def line(self, room: int = 100) -> str:
        """Return `epoch 3   41%  loss 1.321  lr 3.1e-03  12.5k tok/s  0:43 left`; less of it in fewer characters."""
        parts = {
            "epoch": f"epoch {self.epoch}",
            "done": f"{self.done:4.0%}",
            "loss": f"loss {self.loss:.3f}",
            "lr": f"lr {self.lr:.1e}",
            "speed": f"{self.tokens_per_second / 1000:.1f}k tok/s",
            "left": f"{clock(self.seconds_left)} left",
        }
        for dropped in ("lr", "speed", "epoch"):
            if len("  ".join(parts.values())) > room:
                del parts[dropped]
        return "  ".join(parts.values())


class TrainingLog:
    """Shows progress and messages on standard error, and writes them to the run's `log.txt` and `metrics.jsonl`.

    Without a directory nothing is written. With `tensorboard`, metrics also go to the run's directory `tensorboard/`.
    """

    def __init__(self, name: str, directory: Path | None, tensorboard: bool = False) -> None:
        self.name = name
        self.directory = directory
        self._board = board_writer()(str(directory / "tensorboard")) if directory and tensorboard else None
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if err.is_terminal:
            name, line = (TextColumn(f"{{task.{part}}}", markup=False) for part in ("description", "fields[line]"))
            columns = (name, BarColumn(bar_width=24), line) if err.width >= WIDE else (line,)
            self._bar = Progress(*columns, console=err, refresh_per_second=4)
            self._task = self._bar.add_task(self.name, total=1.0, line="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        if self._board:
            self._board.close()

    def show(self, report: ProgressReport) -> None:
        """Show progress on the bar, or now and then as a line."""
        if self._bar:
            taken = cell_len(self.name) + 24 + 2 if err.width >= WIDE else 0
            self._bar.update(self._task, completed=report.done, line=report.line(err.width - taken))
        elif time.monotonic() - self._shown >= PLAIN_SECONDS:
            self._shown = time.monotonic()
            log.info("%s  %s", self.name, report.line())

    def message(self, text: str) -> None:
        """Write a message to standard error and `log.txt`."""
        log.info("%s", text)
        self.write(text)

    def write(self, text: str) -> None:
        """Write a line to `log.txt` only."""
        self._append("log.txt", f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}")

    def record(self, kind: str, values: dict[str, Any]) -> None:
        """Write a line to `metrics.jsonl`, and its numbers to TensorBoard."""
        self._append("metrics.jsonl", format_json({"kind": kind} | values))
        if self._board:
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "update":
                    self._board.add_scalar(f"{kind}/{name}", value, values["update"])

    def record_progress(self, report: ProgressReport) -> None:
        """Write progress to `metrics.jsonl` and `log.txt`."""
        self.record("training", asdict(report))
        self.write(f"update {report.update}  {report.line()}")

    def log_validation(self, update: int, validation: Validation, *, better: bool, metric: str) -> None:
        """Report a validation: its metrics, ▲ beside the deciding `metric` if that is the best so far, and a sample."""
        figures = {"loss": f"loss {validation.loss:.3f}"}
        if validation.bleu is not None:
            figures["bleu"] = f"BLEU {validation.bleu:.1f}"
        if metric == "chrf" or validation.headline == "chrf":
            figures["chrf"] = f"chrF2 {validation.chrf:.1f}"
        if better:
            figures[metric] += " ▲"
        line = f"  validation  update {update}  {'  '.join(figures.values())}"
        if validation.sample:
            source, translation, _ = map(_shorten, validation.sample)
            line += f"   {source} → {translation}"
        self.message(line)
        self.record("validation", {"update": update, "better": better} | asdict(validation))

    def _append(self, name: str, line: str) -> None:
        if self.directory:
            append_line(self.directory / name, line)


def _shorten(text: str) -> str:
    """Return a sentence, cut if it is long."""
    return text if len(text) <= SAMPLE_WIDTH else f"{text[: SAMPLE_WIDTH - 1]}…"


def board_writer() -> Any:
    """Return the class that writes TensorBoard files. Raises ResourceError if tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        hint = "pip install 's2s-toolkit[tensorboard]'"
        raise ResourceError("--tensorboard: tensorboard is not installed", hint) from error
    return SummaryWriter
