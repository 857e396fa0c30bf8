"""Checkpoints: everything training needs to go on, written so that one is either complete or not there.

A checkpoint is a folder named by its update. Its manifest, with the sha256 of each file, is written last: a folder
without a valid one does not count.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from s2s.errors import ArtefactError
from s2s.files import digest_bytes, digest_file, read_json, write_bytes, write_json

SCHEMA = 1
MODEL, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights, the optimizer's and the random generators' tensors, and the state of training as JSON."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, update: int, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint below `folder` and return its own folder."""
    path = folder / f"{update:08d}"
    shutil.rmtree(path, ignore_errors=True)  # what an interrupted save, or a run that was set back, has left
    parts = {MODEL: save_tensors(checkpoint.model), OPTIMIZER: save_tensors(checkpoint.optimizer)}
    for name, content in parts.items():
        write_bytes(path / name, content)
    write_json(path / STATE, checkpoint.state)
    digests = {name: digest_bytes(content) for name, content in parts.items()} | {STATE: digest_file(path / STATE)}
    write_json(path / MANIFEST, {"schema": SCHEMA, "files": digests})
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in `path`. Raises ArtefactError where it is damaged or of a newer schema."""
    manifest = read_json(path / MANIFEST)
    if manifest["schema"] > SCHEMA:
        raise ArtefactError(f"checkpoint {path}: schema {manifest['schema']} is newer than this s2s reads ({SCHEMA})")
    for name, digest in manifest["files"].items():
        if digest_file(path / name) != digest:
            raise ArtefactError(f"checkpoint {path}: {name} is damaged")
    model, optimizer = (load_tensors((path / name).read_bytes()) for name in (MODEL, OPTIMIZER))
    return Checkpoint(model, optimizer, read_json(path / STATE))


def complete_checkpoints(folder: Path) -> list[Path]:
    """The folders of the checkpoints whose manifest is there, the oldest first."""
    return sorted(path.parent for path in folder.glob(f"[0-9]*/{MANIFEST}"))


def load_latest(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole; says which were damaged and passed over. None where there is none."""
    for path in reversed(complete_checkpoints(folder)):
        try:
            return load_checkpoint(path)
        except ArtefactError as error:
            notify(f"{error.message}; using the one before")
    return None


def prune_checkpoints(folder: Path, keep: int, best: int) -> None:
    """Remove all but the newest `keep` and the one of update `best`, once the newest can be read back."""
    paths = complete_checkpoints(folder)
    if len(paths) <= keep:
        return
    load_checkpoint(paths[-1])
    for path in paths[:-keep]:
        if int(path.name) != best:
            (path / MANIFEST).unlink()  # first, so that a half-removed checkpoint does not count
            shutil.rmtree(path)
