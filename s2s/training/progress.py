"""What a training shows while it runs: a live bar on a terminal, else a line every 30 seconds; and the run's log."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from s2s.errors import ResourceError
from s2s.report.console import err

log = logging.getLogger(__name__)

PLAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Report:
    """Where a training stands. tokens: target tokens so far; loss: nats per token, as trained; tokens_per_second:
    target tokens; memory: bytes at their peak; seconds: so far.
    """

    update: int
    epoch: int
    done: float
    tokens: int
    loss: float
    lr: float
    tokens_per_second: float
    gradient_norm: float
    memory: int
    seconds: float
    seconds_left: float

    def line(self) -> str:
        """`epoch 3  41 %  loss 1.32  lr 3.1e-03  12.5k tok/s  0:43 left`."""
        return (
            f"epoch {self.epoch}  {self.done:4.0%}  loss {self.loss:.3f}  lr {self.lr:.1e}  "
            f"{self.tokens_per_second / 1000:.1f}k tok/s  {clock(self.seconds_left)} left"
        )


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class TrainingProgress:
    """Shows reports and messages on standard error, and writes them to the run's `log.txt` and `metrics.jsonl`.

    Without a directory nothing is written. `tensorboard`: figures go to the run's directory `tensorboard/`, too.
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
            self._bar = Progress(name, BarColumn(bar_width=24), line, console=err, refresh_per_second=4)
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

    def show(self, report: Report) -> None:
        """Show where the training stands."""
        if self._bar:
            self._bar.update(self._task, completed=report.done, line=report.line())
        elif time.monotonic() - self._shown >= PLAIN_SECONDS:
            self._shown = time.monotonic()
            log.info("%s  %s", self.name, report.line())

    def message(self, text: str) -> None:
        """Say something that lasts: on standard error and in the log."""
        log.info("%s", text)
        self.log(text)

    def log(self, text: str) -> None:
        """Write a line to `log.txt`."""
        self._append("log.txt", f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}")

    def record(self, kind: str, values: dict[str, Any]) -> None:
        """Write a line to `metrics.jsonl`."""
        self._append("metrics.jsonl", json.dumps({"kind": kind} | values))
        if self._board:
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "update":
                    self._board.add_scalar(f"{kind}/{name}", value, values["update"])

    def record_report(self, report: Report) -> None:
        """Write where the training stands to both."""
        self.record("training", asdict(report))
        self.log(f"update {report.update}  {report.line()}")

    def _append(self, name: str, line: str) -> None:
        if self.directory:
            with (self.directory / name).open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def board_writer() -> Any:
    """The class that writes TensorBoard's files. Raises ResourceError where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        hint = "pip install 's2s-toolkit[tensorboard]'"
        raise ResourceError("--tensorboard: tensorboard is not installed", hint) from error
    return SummaryWriter
