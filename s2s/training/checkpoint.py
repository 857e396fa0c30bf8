"""Checkpoints: everything needed to resume training, written so that each one is either complete or ignored.

A checkpoint is a directory named after its update. Its manifest holds the sha256 of each file and is written last; a
directory without a valid manifest does not count.
"""

import logging
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from s2s.errors import ArtefactError, OutdatedError, ResourceError, wrap_os_errors
from s2s.io.atomic import make_directory, read_json, sync_directory, write_json
from s2s.io.digests import digest_file
from s2s.io.schema import check_schema
from s2s.training.runs.record import MANIFEST, complete_checkpoints

log = logging.getLogger(__name__)

SCHEMA = 2
MODEL, OPTIMIZER, AVERAGE = "model.safetensors", "optimizer.safetensors", "average.safetensors"
STATE = "state.json"


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
    """Write a checkpoint inside `directory` and return its own directory; on failure, remove it again.

    Raises: ResourceError if it cannot be written.
    """
    path = checkpoint_path(directory, update)
    _remove(path)  # left by an interrupted save, or by a run that was rolled back
    tensors = {MODEL: checkpoint.model, OPTIMIZER: checkpoint.optimizer}
    if checkpoint.average is not None:
        tensors[AVERAGE] = checkpoint.average
    try:
        for name, values in tensors.items():
            write_tensors(path / name, values)
        write_json(path / STATE, checkpoint.state)
        digests = {name: digest_file(path / name) for name in (*tensors, STATE)}
        write_json(path / MANIFEST, {"schema": SCHEMA, "files": digests})
    except BaseException:
        _remove(path)
        raise
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in `path`. Raises ArtefactError if it is damaged or has another schema."""
    manifest = read_json(path / MANIFEST)
    try:
        schema, files = int(manifest["schema"]), dict(manifest["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"checkpoint {path}: {MANIFEST} is damaged") from error
    check_schema({"schema": schema}, SCHEMA, f"checkpoint {path}")
    for name, digest in files.items():
        if not (path / name).is_file() or digest_file(path / name) != digest:
            raise ArtefactError(f"checkpoint {path}: {name} is damaged")
    tensors = {name: load_file(path / name) for name in (MODEL, OPTIMIZER, AVERAGE) if name in files}
    return Checkpoint(tensors[MODEL], tensors[OPTIMIZER], read_json(path / STATE), tensors.get(AVERAGE))


def load_latest(directories: Sequence[Path]) -> Checkpoint | None:
    """Return the newest intact checkpoint inside any of the directories, or None.

    Logs a warning for each damaged one. Raises: OutdatedError if a checkpoint has an older schema.
    """
    found = [path for directory in directories for path in complete_checkpoints(directory)]
    for path in sorted(found, key=lambda path: int(path.name), reverse=True):
        try:
            return load_checkpoint(path)
        except OutdatedError:
            raise
        except ArtefactError as error:
            log.warning("%s; using the previous checkpoint", error.message)
    return None


def prune_checkpoints(directory: Path, newest: int, kept: Collection[int]) -> None:
    """Remove all but the `newest` checkpoints and those of the updates in `kept`, after reading back the last one."""
    paths = complete_checkpoints(directory)
    removed = [path for path in paths[:-newest] if int(path.name) not in kept]
    if removed:
        load_checkpoint(paths[-1])
    for path in removed:
        _remove(path)


def remove_checkpoints(directory: Path) -> None:
    """Remove all checkpoints inside a directory, incomplete ones included."""
    for path in directory.glob("[0-9]*"):
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


def _remove(path: Path) -> None:
    """Remove a checkpoint, its manifest first: a checkpoint that is half removed must not count."""
    (path / MANIFEST).unlink(missing_ok=True)
    if path.exists():
        sync_directory(path)
    shutil.rmtree(path, ignore_errors=True)
