"""Checkpoints: everything training needs to go on, written so that one is either complete or not there.

A checkpoint is a directory named by its update. Its manifest, with the sha256 of each file, is written last: a directory
without a valid one does not count.
"""

import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from s2s.errors import ArtefactError
from s2s.io.atomic import read_json, sync_directory, write_bytes, write_json
from s2s.io.digests import digest_bytes, digest_file
from s2s.training.runs.record import MANIFEST, complete_checkpoints

log = logging.getLogger(__name__)

SCHEMA = 1
MODEL, OPTIMIZER, AVERAGE = "model.safetensors", "optimizer.safetensors", "average.safetensors"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights, the optimizer's tensors, the state of training as JSON, and the moving average where there is one."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]
    average: dict[str, Tensor] | None = None

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights to be used: the moving average, or else the last ones."""
        return self.model if self.average is None else self.average


def checkpoint_path(directory: Path, update: int) -> Path:
    """The directory of an update's checkpoint below `directory`."""
    return directory / f"{update:08d}"


def save_checkpoint(directory: Path, update: int, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint below `directory` and return its own directory; where that fails, nothing of it stays.

    Raises: ResourceError where it cannot be written.
    """
    path = checkpoint_path(directory, update)
    _remove(path)  # what an interrupted save, or a run that was set back, has left
    parts = {MODEL: save_tensors(checkpoint.model), OPTIMIZER: save_tensors(checkpoint.optimizer)}
    if checkpoint.average is not None:
        parts[AVERAGE] = save_tensors(checkpoint.average)
    try:
        for name, content in parts.items():
            write_bytes(path / name, content)
        write_json(path / STATE, checkpoint.state)
        digests = {name: digest_bytes(content) for name, content in parts.items()} | {STATE: digest_file(path / STATE)}
        write_json(path / MANIFEST, {"schema": SCHEMA, "files": digests})
    except BaseException:
        _remove(path)
        raise
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in `path`. Raises ArtefactError where it is damaged or of a newer schema."""
    manifest = read_json(path / MANIFEST)
    try:
        schema, files = manifest["schema"], dict(manifest["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"checkpoint {path}: {MANIFEST} is damaged") from error
    if schema > SCHEMA:
        raise ArtefactError(f"checkpoint {path}: schema {schema} is newer than this s2s reads ({SCHEMA})")
    for name, digest in files.items():
        if not (path / name).is_file() or digest_file(path / name) != digest:
            raise ArtefactError(f"checkpoint {path}: {name} is damaged")
    tensors = {name: load_tensors((path / name).read_bytes()) for name in (MODEL, OPTIMIZER, AVERAGE) if name in files}
    return Checkpoint(tensors[MODEL], tensors[OPTIMIZER], read_json(path / STATE), tensors.get(AVERAGE))


def load_latest(directories: Sequence[Path]) -> Checkpoint | None:
    """The newest checkpoint below any of the directories that is whole; says which were damaged and passed over.

    None where there is none.
    """
    found = [path for directory in directories for path in complete_checkpoints(directory)]
    for path in sorted(found, key=lambda path: int(path.name), reverse=True):
        try:
            return load_checkpoint(path)
        except ArtefactError as error:
            log.warning("%s; using the previous checkpoint", error.message)
    return None


def prune_checkpoints(directory: Path, newest: int, kept: Collection[int]) -> None:
    """Remove all but the `newest` ones and those of the updates to be `kept`, once the last can be read back."""
    paths = complete_checkpoints(directory)
    dropped = [path for path in paths[:-newest] if int(path.name) not in kept]
    if dropped:
        load_checkpoint(paths[-1])
    for path in dropped:
        _remove(path)


def drop_checkpoints(directory: Path) -> None:
    """Remove all checkpoints below a directory, half-written ones, too."""
    for path in directory.glob("[0-9]*"):
        _remove(path)


def _remove(path: Path) -> None:
    """The manifest first, so that a checkpoint that is half removed does not count."""
    (path / MANIFEST).unlink(missing_ok=True)
    if path.exists():
        sync_directory(path)
    shutil.rmtree(path, ignore_errors=True)
