"""Runs as their directories record them: fixed settings, progress and metrics.

This module does not import torch, so that looking at a run is cheap and does not disturb training.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from s2s.devices.select import Precision
from s2s.errors import ArtefactError, UsageError, did_you_mean, wrap_os_errors
from s2s.io.atomic import read_json, write_json
from s2s.io.locks import lock_holder
from s2s.io.paths import home_dir
from s2s.io.schema import check_schema
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe

SCHEMA = 2
RECORD, RECIPE, METRICS, LOCK, CHECKPOINTS = "run.json", "recipe.toml", "metrics.jsonl", "lock", "checkpoints"
MANIFEST = "manifest.json"  # of a checkpoint, written last
KINDS = ("training", "validation")  # of the lines of metrics.jsonl

Line = dict[str, Any]  # of metrics.jsonl
State = Literal["training", "finished", "unfinished"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is frozen when a run begins, and the version it was published as in the end.

    recipe: the resolved one; tokenizer: its digest; micro_batch_tokens: what `auto` chose, or the recipe says;
    parent: the version that training began from; changes: what was not the same when the run was gone on with.
    What older records lack is empty.
    """

    key: str
    name: str
    corpus: str
    device: str
    precision: Precision
    threads: int
    created: str
    published: str | None = None
    schema: int = SCHEMA
    recipe: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    processes: int = 1
    micro_batch_tokens: int = 0
    deterministic: bool = False
    parent: str | None = None
    code: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the record in a run's directory. Raises ArtefactError if it is damaged or has another schema."""
        values = read_json(directory / RECORD)
        check_schema(values, SCHEMA, f"run {directory.name}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ArtefactError(f"run {directory.name}: {RECORD} is damaged ({error})") from error

    def write(self, directory: Path) -> None:
        """Write the record into a run's directory."""
        write_json(directory / RECORD, asdict(self))


@dataclass(frozen=True, slots=True)
class Metrics:
    """The lines of `metrics.jsonl` that count, by their kind, in the order of updates; and the update recorded last.

    All have an `update`; any other key may be missing in any line.
    """

    training: list[Line]
    validation: list[Line]
    updates: int

    @property
    def best(self) -> Line | None:
        """The last validation that was better than all before it."""
        return next((line for line in reversed(self.validation) if line.get("better") is True), None)


@dataclass(frozen=True, slots=True)
class Run:
    """A run's directory, its record, the process that trains it now (by its number), and what was measured."""

    directory: Path
    record: RunRecord
    process: str | None
    metrics: Metrics

    @property
    def name(self) -> str:
        """Its name: that of its directory."""
        return self.directory.name

    @property
    def state(self) -> State:
        """Whether it is being trained, has published its model, or neither."""
        return "training" if self.process else "finished" if self.record.published else "unfinished"

    @property
    def updates(self) -> int:
        """Updates done when something was recorded last."""
        return self.metrics.updates

    @property
    def done(self) -> float | None:
        """The share of its limit that it had reached then, 0 to 1; None where none is recorded."""
        return number(self.metrics.training[-1], "done") if self.metrics.training else None

    @property
    def checkpoints(self) -> list[int]:
        """The updates of the checkpoints that are complete, in rising order."""
        return [int(path.name) for path in complete_checkpoints(self.directory / CHECKPOINTS) if path.name.isdigit()]

    def recipe(self) -> Recipe:
        """Return the resolved recipe. Raises ArtefactError if it is damaged or missing."""
        try:
            return load_recipe(str(self.directory / RECIPE))
        except UsageError as error:
            raise ArtefactError(f"run {self.name} is damaged: {error.message}", error.hint) from error


def runs_directory() -> Path:
    """Where runs are kept."""
    return home_dir() / "runs"


def run_directories() -> list[Path]:
    """List the directories by name: runs, damaged ones, and incomplete ones."""
    if not runs_directory().exists():
        return []
    with wrap_os_errors(runs_directory(), "read"):
        return sorted(path for path in runs_directory().iterdir() if path.is_dir())


def unfinished_run(name: str, key: str) -> Path | None:
    """Return the newest directory of an unpublished run under that key."""
    directories = sorted(runs_directory().glob(f"{name}-{key[:8]}*/{RECORD}"), key=lambda path: path.stat().st_mtime)
    for directory in (path.parent for path in reversed(directories)):
        record = RunRecord.read(directory)
        if record.published is None and record.key == key:  # a change that was allowed has given it another
            return directory
    return None


def find_run(name: str) -> Path:
    """Return the directory of a run by name or path. Raises UsageError with the nearest names."""
    known = sorted(path.parent.name for path in runs_directory().glob(f"*/{RECORD}"))
    if name in known:
        return runs_directory() / name
    if (Path(name) / RECORD).is_file():
        return Path(name).resolve()
    raise UsageError(f"run {name}: no such run", did_you_mean(name, known) or f"runs are kept in {runs_directory()}")


def read_run(directory: Path) -> Run:
    """Read the run in a directory. Raises ArtefactError if it is damaged, incomplete or has another schema."""
    if not (directory / RECORD).is_file():
        raise ArtefactError(
            f"run {directory.name} is damaged: it has no {RECORD}", f"s2s runs rm {directory.name} --force removes it"
        )
    return Run(directory, RunRecord.read(directory), lock_holder(directory / LOCK), read_metrics(directory / METRICS))


def read_metrics(path: Path) -> Metrics:
    """Read a run's metrics; empty if there is no such file yet.

    What cannot be read is passed over, such as the last line of a run that was killed while it wrote, and so are lines
    of other kinds. Where a resumed run went back to an earlier update, what it records from there on stands in the
    place of what it had recorded before.
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
    """Return the directories of complete checkpoints, oldest first."""
    return sorted(path.parent for path in directory.glob(f"[0-9]*/{MANIFEST}"))
