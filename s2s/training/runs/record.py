"""Read the directories of runs: fixed settings, progress and metrics.

This module does not import torch, so that listing runs is fast and does not disturb training.
"""

import contextlib
import json
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, NonNegativeInt, PositiveInt

from s2s.devices.runtime import Precision
from s2s.errors import ArtefactError, S2SError, UsageError, did_you_mean, wrap_os_errors
from s2s.io.atomic import write_json
from s2s.io.json_values import read_json, validate
from s2s.io.locks import lock_holder
from s2s.io.paths import home_dir, real_directories
from s2s.io.schema import check_schema
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe

log = logging.getLogger(__name__)

SCHEMA = 2
RECORD, RECIPE, METRICS, LOCK, CHECKPOINTS = "run.json", "recipe.toml", "metrics.jsonl", "lock", "checkpoints"
STOPPED = "stopped"
MANIFEST = "manifest.json"  # of a checkpoint, written last
KINDS = ("training", "validation")  # kinds of lines that are read

Line = dict[str, Any]  # one line of metrics.jsonl
State = Literal["training", "finished", "unfinished"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Settings fixed when a run is created, and its published version."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    key: str
    name: str
    corpus: str  # digest
    device: str
    precision: Precision
    threads: PositiveInt
    created: str  # ISO 8601
    published: str | None = None  # reference of the version, when the run is finished
    schema: int = SCHEMA
    recipe: dict[str, Any] = field(default_factory=dict)  # resolved
    tokenizer: str = ""  # digest
    processes: PositiveInt = 1
    micro_batch_tokens: NonNegativeInt = 0  # chosen by `auto` or set by the recipe; 0: whole batches
    deterministic: bool = False
    parent: str | None = None  # reference of the version that is fine-tuned
    code: int = 0  # version of the training code
    versions: dict[str, str] = field(default_factory=dict)  # of libraries
    features: list[str] = field(default_factory=list)  # of the CPU
    changes: list[str] = field(default_factory=list)  # accepted when the run was resumed

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the record in a run's directory. Raises ArtefactError if it is damaged or has another schema."""
        where = f"{RECORD} of run {directory.name}"
        values = read_json(directory / RECORD, where)
        check_schema(values, SCHEMA, f"run {directory.name}")
        return validate(cls, values, where)

    def write(self, directory: Path) -> None:
        """Write the record into a run's directory."""
        write_json(directory / RECORD, asdict(self))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a run, without those that a rollback or resume has superseded, in the order of updates.

    Every line has an `update`; any other key may be missing.
    """

    training: list[Line]
    validation: list[Line]
    updates: int  # update of the last line

    @property
    def best(self) -> Line | None:
        """Last validation that was better than all earlier ones."""
        return next((line for line in reversed(self.validation) if line.get("better") is True), None)


@dataclass(frozen=True, slots=True)
class Run:
    """A run."""

    directory: Path
    record: RunRecord
    process: str | None  # id of the process that is training it
    metrics: Metrics

    @property
    def name(self) -> str:
        """Name of the run's directory."""
        return self.directory.name

    @property
    def state(self) -> State:
        """State of the run: training, finished if it is published, else unfinished."""
        return "training" if self.process else "finished" if self.record.published else "unfinished"

    @property
    def updates(self) -> int:
        """Update of the last recorded metrics, or of a checkpoint saved after them."""
        saved = (complete_checkpoints(self.directory / name) for name in (CHECKPOINTS, STOPPED))
        return max([self.metrics.updates, *(int(path.name) for paths in saved for path in paths)])

    @property
    def done(self) -> float | None:
        """Share of the training that is done, 0 to 1; None if nothing is recorded."""
        return number(self.metrics.training[-1], "done") if self.metrics.training else None

    @property
    def checkpoints(self) -> list[int]:
        """Updates of the complete checkpoints, in ascending order."""
        return [int(path.name) for path in complete_checkpoints(self.directory / CHECKPOINTS)]

    def recipe(self) -> Recipe:
        """Return the resolved recipe. Raises ArtefactError if it is damaged or missing."""
        return recipe_of_run(self.directory)


def runs_directory() -> Path:
    """Return the directory of all runs."""
    return home_dir() / "runs"


def run_directories() -> list[Path]:
    """Return the directories of all runs, including damaged and incomplete ones, sorted by name."""
    if not runs_directory().exists():
        return []
    with wrap_os_errors(runs_directory(), "read"):
        return sorted(path for path in runs_directory().iterdir() if path.is_dir())


def unfinished_run(name: str, key: str) -> Path | None:
    """Return the newest directory of an unpublished run under that key."""
    directories = sorted(runs_directory().glob(f"{name}-{key[:8]}*/{RECORD}"), key=lambda path: path.stat().st_mtime)
    for directory in (path.parent for path in reversed(directories)):
        try:
            record = RunRecord.read(directory)
        except S2SError as error:
            log.warning("run %s is skipped: %s", directory.name, error.message)
            continue
        if record.published is None and record.key == key:  # resuming with allowed changes gives a run another key
            return directory
    return None


def recipe_of_run(directory: Path) -> Recipe:
    """Return the resolved recipe in a run's directory. Raises ArtefactError if it is damaged or missing."""
    try:
        return load_recipe(str(directory / RECIPE))
    except UsageError as error:
        raise ArtefactError(f"run {directory.name} is damaged: {error.message}", error.hint) from error


def find_run(name: str, *, unfinished: bool = False) -> Path:
    """Return the directory of a run by name or path, or by the name of a model with one run (or one unfinished run).

    Raises: UsageError with the nearest names.
    """
    found = _runs_of_model(name, unfinished)
    if len(found) == 1:
        return runs_directory() / found[0]
    if found:
        runs = [read_run(runs_directory() / run) for run in found]
        described = [f"{run.name} ({run.state}, began {run.record.created[:10]})" for run in runs]
        raise UsageError(f"model {name} has {len(found)} runs", f"name one: {', '.join(described)}")
    return named_run(name)


def named_run(name: str) -> Path:
    """Return the directory of a run by its own name or path. Raises UsageError with the nearest names."""
    known = _run_names()
    if name in known:
        return runs_directory() / name
    if (Path(name) / RECORD).is_file():
        return Path(name).resolve()
    raise UsageError(f"run {name}: no such run", did_you_mean(name, known) or f"runs are in {runs_directory()}")


def _run_names() -> list[str]:
    return sorted(path.parent.name for path in runs_directory().glob(f"*/{RECORD}"))


def _runs_of_model(name: str, unfinished: bool) -> list[str]:
    """Return the runs that train a model; only unfinished ones if `unfinished` and there are any."""
    records = {}
    for run in _run_names():
        with contextlib.suppress(S2SError):
            records[run] = RunRecord.read(runs_directory() / run)
    found = [run for run, record in records.items() if record.name == name]
    return [run for run in found if unfinished and not records[run].published] or found


def read_run(directory: Path) -> Run:
    """Read the run in a directory. Raises ArtefactError if it is damaged, incomplete or has another schema."""
    if not (directory / RECORD).is_file():
        raise ArtefactError(
            f"run {directory.name} is damaged: it has no {RECORD}", f"s2s runs rm {directory.name} --force removes it"
        )
    return Run(directory, RunRecord.read(directory), lock_holder(directory / LOCK), read_metrics(directory / METRICS))


def read_metrics(path: Path) -> Metrics:
    """Read a run's metrics; empty if there is no such file yet.

    Lines of other kinds and unreadable lines, such as the last one of a killed run, are skipped. When a resumed run
    goes back to an earlier update, its new lines replace those recorded before.
    """
    found = Metrics([], [], 0)
    if not path.exists():
        return found
    with wrap_os_errors(path, "read"):
        texts = path.read_bytes().split(b"\n")
    for line in filter(None, map(_parsed, texts)):
        lines = found.training if line["kind"] == "training" else found.validation
        while lines and lines[-1]["update"] >= line["update"]:
            lines.pop()
        lines.append(line)
        found = replace(found, updates=line["update"])
    return found


def _parsed(text: bytes) -> Line | None:
    """Parse a line of training or validation metrics, non-finite values as None; return None for any other line."""
    try:
        line = json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("kind") not in KINDS or type(line.get("update")) is not int:
        return None
    return line


def series(lines: Sequence[Line], key: str) -> list[tuple[int, float]]:
    """Return a metric over updates: (update, value) for the lines that have it."""
    found = ((line["update"], number(line, key)) for line in lines)
    return [(update, figure) for update, figure in found if figure is not None]


def number(line: Line, key: str) -> float | None:
    """Return a finite metric of a line, or None."""
    value = line.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def complete_checkpoints(directory: Path) -> list[Path]:
    """Return the directories of complete checkpoints, oldest first; a link is none."""
    names = [path for path in real_directories(directory) if re.fullmatch("[0-9]{8,18}", path.name)]
    return sorted((path for path in names if (path / MANIFEST).is_file()), key=lambda path: int(path.name))
