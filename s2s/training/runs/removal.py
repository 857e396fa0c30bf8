"""Remove runs."""

import shutil
from pathlib import Path

from s2s.errors import ResourceError, S2SError, UsageError
from s2s.io.locks import exclusive_lock, lock_holder
from s2s.io.paths import directory_size
from s2s.report.format import counted
from s2s.training.runs.record import LOCK, RECORD, RunRecord, named_run, read_run, run_directories


def remove_run(name: str, *, force: bool = False) -> tuple[Path, int]:
    """Remove the directory of a run, and return its path and the bytes freed.

    Raises: UsageError if there is no such run, or, without `force`, if it is unfinished or damaged; ResourceError if it
    is being trained, even with `force`.
    """
    directory = _directory_to_remove(name)
    if process := lock_holder(directory / LOCK):
        raise ResourceError(f"process {process} is training run {directory.name}", "stop it first, with Ctrl-C or kill")
    with exclusive_lock(directory / LOCK, f"training run {directory.name}"):
        if not force:
            _check_nothing_is_lost(directory)
        freed = directory_size(directory)
        (directory / RECORD).unlink(missing_ok=True)  # first, so that an interrupted removal leaves no run behind
        shutil.rmtree(directory.resolve())
    if directory.is_symlink():
        directory.unlink()
    return directory, freed


def _directory_to_remove(name: str) -> Path:
    """Return the directory of a run; a damaged one is accepted if it is inside the runs directory."""
    for directory in run_directories():
        if directory.name == name:
            return directory
    directory = named_run(name)
    RunRecord.read(directory)
    return directory


def _check_nothing_is_lost(directory: Path) -> None:
    """Raise UsageError if a run is unfinished or damaged."""
    try:
        run = read_run(directory)
    except S2SError as error:
        raise UsageError(error.message, f"s2s runs rm {directory.name} --force removes it anyway") from error
    if run.record.published is None:
        checkpoints = counted(len(run.checkpoints), "checkpoint")
        lost = f"{counted(run.updates, 'update')} of training and {checkpoints} would be lost"
        hint = f"s2s resume {run.name} resumes it; --force removes it anyway"
        raise UsageError(f"run {run.name} is not finished: {lost}", hint)
