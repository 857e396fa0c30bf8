"""Run s2s commands in killable processes, forked from one that has imported everything."""

import contextlib
import functools
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from watching import Operation, watched

from s2s.cli.app import main
from s2s.data.preparation import plan
from s2s.registry.blobs import Blobs
from s2s.registry.store import Registry
from s2s.training import step, trainer
from s2s.training.checkpoint import load_checkpoint
from s2s.training.runs import context as run_context
from s2s.training.runs.record import complete_checkpoints

PHASES = {
    "loading": (run_context, "prepare_corpus"),
    "training": (step, "pair_batch"),
    "validating": (trainer, "compute_share"),
}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["datasets", "sacrebleu", "s2s.cli.commands.train", "s2s.training.runs.lifecycle", "torch._dynamo"]
)


def in_parts(parts: int) -> pytest.MarkDecorator:
    """Split a sweep into parts: `make test` runs the first one, `make faults` the others."""
    found = [pytest.param(part, marks=[pytest.mark.faults] if part else []) for part in range(parts)]
    return pytest.mark.parametrize("part", found)


@dataclass(frozen=True, slots=True)
class Trial:
    """A training of the tiny model `again`, or another command, and the fault to inject."""

    home: Path  # S2S_HOME
    settings: tuple[str, ...] = ()  # `--set` values
    arguments: tuple[str, ...] = ()  # of the other command
    kill_at: int = -1  # number of the file operation, from 0, at which to kill the process
    fail_at: int = -1  # number of the file operation, from 0, at which the disk is full
    signals: tuple[signal.Signals, ...] = ()  # signals to send
    during: str = ""  # when to send them: loading, training, validating or saving
    block: int = 0  # pairs in a block of training pairs; 0: as usual
    nth: int = 1  # at which occurrence of that phase
    record: Path | None = None  # file to store all operations in
    errors: Path | None = None  # file for standard error; default: `said` in the home
    seen: list[Operation] = field(default_factory=list)  # operations so far

    def start(self) -> BaseProcess:
        """Start training, or resume an existing run."""
        process = context.Process(target=_run, args=(self,))
        process.start()
        return process

    def exit_code(self) -> int:
        """Train or resume to the end; return the exit code, negative if a signal killed the process."""
        process = self.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def said(self) -> str:
        """Return what the last process wrote to standard error."""
        return (self.errors or self.home / "said").read_text()

    def send(self) -> None:
        """Send the signals to this process."""
        for number in self.signals:
            os.kill(os.getpid(), number)

    def before(self, operation: Operation) -> None:
        """Inject the fault that is due at this operation."""
        number = len(self.seen)
        self.seen.append(operation)
        if number == self.kill_at:
            if operation.kind == "write" and operation.content:
                half = operation.content[: len(operation.content) // 2]
                if operation.handle < 0:
                    Path(operation.path).write_bytes(half)
                else:
                    os.write(operation.handle, half)
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        saves = [one for one in self.seen if one.kind == "write" and "optimizer" in one.path]
        if self.during == "saving" and saves == [operation]:
            self.send()
        if number == self.fail_at:
            raise OSError(28, os.strerror(28), operation.path)


def command(trial: Trial) -> list[str]:
    """Return what a user would type: the other command, `train`, or `resume` if there is a run."""
    if trial.arguments:
        return list(trial.arguments)
    if runs := [path.parent.name for path in (trial.home / "runs").glob("again-*/run.json")]:
        return ["resume", runs[0]]
    settings = [part for setting in trial.settings for part in ("--set", setting)]
    return ["train", "numbers/attention", "--name", "again", *settings]


def _run(trial: Trial) -> None:
    directories = {"S2S_HOME": "", "S2S_LEASES": "leases", "S2S_CACHE": "cache", "S2S_SERVERS": "servers"}
    os.environ |= {name: str(trial.home / directory) for name, directory in directories.items()} | {"COLUMNS": "200"}
    with (trial.errors or trial.home / "said").open("w") as said:
        os.dup2(said.fileno(), 2)
    if trial.block:
        plan.BLOCK = trial.block
    with watched(trial.home, trial.before), signalled(trial):
        code = main(command(trial))
    if trial.record:
        trial.record.write_bytes(pickle.dumps(trial.seen))
    sys.exit(code)


@contextlib.contextmanager
def signalled(trial: Trial) -> Iterator[None]:
    """Send the trial's signals at the call of the function that stands for their phase."""
    if trial.during not in PHASES:
        yield
        return
    module, name = PHASES[trial.during]
    real, calls = getattr(module, name), itertools.count(1)

    @functools.wraps(real)
    def hit(*arguments: Any, **more: Any) -> Any:
        if next(calls) == trial.nth:
            trial.send()
        return real(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, hit)
        yield


def digest(home: Path, name: str = "again") -> str:
    """Return the sha256 of a published model's weights."""
    return Registry(home / "registry").resolve(name).files["weights.safetensors"].digest


def check_whole(home: Path) -> None:
    """Check that whatever has its final name is complete: checkpoints, published models, their files."""
    for directory in (home / "runs").glob("*/*/"):
        for path in complete_checkpoints(directory):
            load_checkpoint(path)
    registry = Registry(home / "registry")
    for name in registry.names():
        for version in registry.versions(name):
            for file in version.files.values():
                Blobs(home / "registry" / "blobs").verified(file, str(version.reference))
