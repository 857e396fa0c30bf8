"""Checkpoints: everything needed to resume training, written so that each one is either complete or ignored.

A checkpoint is a directory named after its update. Its manifest holds the sha256 of each file and is written last; a
directory without a valid manifest does not count.
"""

import logging
import os
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from s2s.errors import ArtefactError, OutdatedError, ResourceError, S2SError, wrap_os_errors
from s2s.io.atomic import make_directory, sync_directory, write_json
from s2s.io.digests import digest_file
from s2s.io.json_values import read_json, validate
from s2s.io.paths import real_directories
from s2s.io.schema import check_schema
from s2s.training.runs.record import MANIFEST, complete_checkpoints

log = logging.getLogger(__name__)

SCHEMA = 4
DAMAGED = ".damaged"  # added to the name of a damaged checkpoint
MODEL, OPTIMIZER, AVERAGE = "model.safetensors", "optimizer.safetensors", "average.safetensors"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest."""

    schema: int
    files: dict[str, str]  # sha256 by name


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint."""

    model: dict[str, Tensor]  # weights by parameter name
    optimizer: dict[str, Tensor]  # optimizer state, `decoder.bias.exp_avg`
    state: dict[str, Any]  # progress and random generators, as JSON
    average: dict[str, Tensor] | None = None  # moving average of the weights, if the recipe has one

    @property
    def evaluated(self) -> dict[str, Tensor]:
        """The weights to evaluate and publish: the moving average if there is one, else the last weights."""
        return self.model if self.average is None else self.average


def checkpoint_path(directory: Path, update: int) -> Path:
    """Return the directory of an update's checkpoint inside `directory`."""
    return directory / f"{update:08d}"


def save_checkpoint(directory: Path, update: int, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint inside `directory`, read it back, and return its own directory; on failure, remove it again.

    Raises: ResourceError if it cannot be written, or what is read back differs.
    """
    path = checkpoint_path(directory, update)
    _remove(path)  # left by an interrupted save, or by a run that was rolled back
    tensors = {MODEL: checkpoint.model, OPTIMIZER: checkpoint.optimizer}
    if checkpoint.average is not None:
        tensors[AVERAGE] = checkpoint.average
    try:
        for name, values in tensors.items():
            write_tensors(path / name, values)
            _compare(path / name, values)
        write_json(path / STATE, checkpoint.state)
        digests = {name: digest_file(path / name) for name in (*tensors, STATE)}
        write_json(path / MANIFEST, {"schema": SCHEMA, "files": digests})
    except BaseException:
        _remove(path)
        raise
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in `path`. Raises ArtefactError if it is damaged or has another schema."""
    files = verify_checkpoint(path)
    try:
        tensors = {name: load_file(path / name) for name in (MODEL, OPTIMIZER, AVERAGE) if name in files}
    except SafetensorError as error:
        raise ArtefactError(f"checkpoint {path} is damaged: not a safetensors file ({error})") from error
    return Checkpoint(tensors[MODEL], tensors[OPTIMIZER], read_json(path / STATE), tensors.get(AVERAGE))


def verify_checkpoint(path: Path) -> dict[str, str]:
    """Return the sha256 of each file of an intact checkpoint. Raises ArtefactError: see `load_checkpoint`."""
    where = f"{MANIFEST} of checkpoint {path}"
    values = read_json(path / MANIFEST, where)
    check_schema(values, SCHEMA, f"checkpoint {path}")
    files = validate(Manifest, values, where).files
    for name in {MODEL, OPTIMIZER, STATE, *files}:
        if name not in files or not (path / name).is_file() or digest_file(path / name) != files[name]:
            raise ArtefactError(f"checkpoint {path}: {name} is damaged")
    return files


def newest_intact(directories: Sequence[Path]) -> Path | None:
    """Return the newest intact checkpoint inside any of the directories; None if none was ever saved.

    Damaged ones are renamed to `00000190.damaged`, each with a warning.
    Raises: OutdatedError if a checkpoint has an older schema, ArtefactError if all are damaged.
    """
    found = [path for directory in directories for path in complete_checkpoints(directory)]
    for path in sorted(found, key=lambda path: int(path.name), reverse=True):
        if is_intact(path):
            return path
    if damaged := [path for directory in directories for path in directory.glob(f"[0-9]*{DAMAGED}")]:
        raise ArtefactError(
            f"all checkpoints of the run are damaged: {', '.join(map(str, sorted(damaged)))}",
            "restore one under its name without .damaged, or train anew with s2s train RECIPE --fresh",
        )
    return None


def is_intact(path: Path) -> bool:
    """Return whether a checkpoint is intact; rename a damaged one, with a warning. Raises OutdatedError."""
    try:
        verify_checkpoint(path)
    except OutdatedError:
        raise
    except S2SError as error:
        aside = path.with_name(path.name + DAMAGED)
        log.warning("%s; the checkpoint is set aside as %s", error.message, aside.name)
        shutil.rmtree(aside, ignore_errors=True)
        with wrap_os_errors(path, "rename"):
            path.rename(aside)
        return False
    return True


def prune_checkpoints(directory: Path, newest: int, kept: Collection[int]) -> None:
    """Remove all but the `newest` checkpoints and those of the updates in `kept`."""
    for path in complete_checkpoints(directory)[:-newest]:
        if int(path.name) not in kept:
            _remove(path)


def remove_checkpoints(directory: Path) -> None:
    """Remove all checkpoints inside a directory, incomplete ones included."""
    for path in real_directories(directory):
        if re.fullmatch("[0-9]+", path.name):
            _remove(path)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file atomically, without a copy of it in memory."""
    temporary = path.with_name(f".{path.name}.tmp")
    with wrap_os_errors(path, "write"):
        make_directory(path.parent)
        try:
            save_file(tensors, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except SafetensorError as error:
            temporary.unlink(missing_ok=True)
            raise ResourceError(f"cannot write {path}: {error}") from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def _compare(path: Path, tensors: dict[str, Tensor]) -> None:
    """Raise ResourceError if the tensors read from a file are not those that were written."""
    stored = load_file(path)
    if any(not torch.allclose(stored[name], value.cpu(), 0, 0, equal_nan=True) for name, value in tensors.items()):
        raise ResourceError(f"{path} was not stored as it was written", "check the disk")


def _remove(path: Path) -> None:
    """Remove a checkpoint, its manifest first: a checkpoint that is half removed must not count."""
    if path.is_symlink():
        path.unlink()
        return
    (path / MANIFEST).unlink(missing_ok=True)
    if path.exists():
        sync_directory(path)
    shutil.rmtree(path, ignore_errors=True)
