"""Commands of s2s in processes of their own that can be killed: forked from one that has imported everything."""

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
from s2s.registry.blobs import Blobs
from s2s.registry.store import Registry
from s2s.training import step, trainer
from s2s.training.checkpoint import load_checkpoint
from s2s.training.runs import lifecycle
from s2s.training.runs.record import complete_checkpoints

PHASES = {
    "loading": (lifecycle, "prepare_corpus"),
    "training": (step, "pair_batch"),
    "validating": (trainer, "validate"),
}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["datasets", "sacrebleu", "s2s.cli.commands.train", "s2s.training.runs.lifecycle", "torch._dynamo"]
)


def in_parts(parts: int) -> pytest.MarkDecorator:
    """A sweep in so many parts: the first one is run by `make test`, the others by `make faults` alone."""
    found = [pytest.param(part, marks=[pytest.mark.faults] if part else []) for part in range(parts)]
    return pytest.mark.parametrize("part", found)


@dataclass(frozen=True, slots=True)
class Trial:
    """A home, the settings of a tiny model `again`, and what is to go wrong there.

    `kill_at`, `fail_at`: the operation, counted from 0, before or in which the process is killed, or finds the disk
    full. `signals`: what it is sent `during` loading, training, validating or saving, the n-th time. `record`: the
    file that is to hold all operations. `errors`: the file for what it says, if not one in the home.
    """

    home: Path
    settings: tuple[str, ...]
    kill_at: int = -1
    fail_at: int = -1
    signals: tuple[signal.Signals, ...] = ()
    during: str = ""
    nth: int = 1
    record: Path | None = None
    errors: Path | None = None
    seen: list[Operation] = field(default_factory=list)

    def start(self) -> BaseProcess:
        """Train, or resume what is there."""
        process = context.Process(target=_carry_out, args=(self,))
        process.start()
        return process

    def exit_code(self) -> int:
        """Train, or resume what is there, to the end; the exit code is negative where a signal ended it."""
        process = self.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def said(self) -> str:
        """What the last process said."""
        return (self.errors or self.home / "said").read_text()

    def send(self) -> None:
        """Send the signals to this process."""
        for number in self.signals:
            os.kill(os.getpid(), number)

    def before(self, operation: Operation) -> None:
        """What happens before an operation."""
        number = len(self.seen)
        self.seen.append(operation)
        if number == self.kill_at:
            if operation.kind == "write" and operation.content:
                os.write(operation.handle, operation.content[: len(operation.content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        saves = [one for one in self.seen if one.kind == "write" and "optimizer" in one.path]
        if self.during == "saving" and saves == [operation]:
            self.send()
        if number == self.fail_at:
            raise OSError(28, os.strerror(28), operation.path)


def command(trial: Trial) -> list[str]:
    """What a user would type: `train`, or `resume` where a run is there."""
    if runs := [path.parent.name for path in (trial.home / "runs").glob("again-*/run.json")]:
        return ["resume", runs[0]]
    settings = [part for setting in trial.settings for part in ("--set", setting)]
    return ["train", "numbers/attention", "--name", "again", *settings]


def _carry_out(trial: Trial) -> None:
    os.environ |= {"S2S_HOME": str(trial.home), "S2S_LEASES": str(trial.home / "leases"), "COLUMNS": "200"}
    with (trial.errors or trial.home / "said").open("w") as said:
        os.dup2(said.fileno(), 2)
    with watched(trial.home, trial.before), signalled(trial):
        code = main(command(trial))
    if trial.record:
        trial.record.write_bytes(pickle.dumps(trial.seen))
    sys.exit(code)


@contextlib.contextmanager
def signalled(trial: Trial) -> Iterator[None]:
    """Send the trial's signals when the function is called that does what they are to come during."""
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
    """The sha256 of a published model's weights."""
    return Registry(home / "registry").resolve(name).files["weights.safetensors"].digest


def check_whole(home: Path) -> None:
    """Whatever has its final name is complete: checkpoints, published models, their files."""
    for directory in (home / "runs").glob("*/*/"):
        for path in complete_checkpoints(directory):
            load_checkpoint(path)
    registry = Registry(home / "registry")
    for name in registry.names():
        for version in registry.versions(name):
            for file in version.files.values():
                Blobs(home / "registry" / "blobs").read(file, str(version.reference))
