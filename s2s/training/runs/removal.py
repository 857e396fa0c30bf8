"""Removing a run: what it takes on the disk, what would be lost, and its folder's end."""

import contextlib
import os
import shutil
from pathlib import Path

from s2s.errors import ResourceError, S2SError, UsageError
from s2s.io.locks import only_writer, writer
from s2s.report.figures import counted
from s2s.training.runs.record import LOCK, RECORD, RunRecord, find_run, read_run, run_folders


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; those that disappear meanwhile count for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def remove_run(name: str, *, force: bool = False) -> tuple[Path, int]:
    """Remove a run's folder; the folder that it was, and the bytes freed.

    Raises: UsageError where there is no such run, or where `force` is not given and the run is unfinished or damaged;
    ResourceError where it is being trained, whatever `force` says.
    """
    folder = _folder_to_remove(name)
    if process := writer(folder / LOCK):
        raise ResourceError(f"process {process} is training run {folder.name}", "stop it first, with Ctrl-C or kill")
    with only_writer(folder / LOCK, f"training run {folder.name}"):
        if not force:
            _check_nothing_is_lost(folder)
        freed = size_of(folder)
        (folder / RECORD).unlink(missing_ok=True)  # first: what an interrupted removal leaves is no run
        shutil.rmtree(folder.resolve())
    if folder.is_symlink():
        folder.unlink()
    return folder, freed


def _folder_to_remove(name: str) -> Path:
    """The folder of a run, a damaged one too if it lies where runs are kept."""
    for folder in run_folders():
        if folder.name == name:
            return folder
    folder = find_run(name)
    RunRecord.read(folder)
    return folder


def _check_nothing_is_lost(folder: Path) -> None:
    """Raise UsageError where a run is not finished, or damaged."""
    try:
        run = read_run(folder)
    except S2SError as error:
        raise UsageError(error.message, f"s2s runs rm {folder.name} --force removes what there is of it") from error
    if run.record.published is None:
        checkpoints = counted(len(run.checkpoints), "checkpoint")
        lost = f"{counted(run.updates, 'update')} of training and {checkpoints} would be lost"
        hint = f"s2s resume {run.name} goes on with it; --force removes it all the same"
        raise UsageError(f"run {run.name} is not finished: {lost}", hint)
