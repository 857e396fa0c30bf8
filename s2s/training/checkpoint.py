"""Checkpoints: everything needed to resume training, written so that each one is either complete or ignored.

A checkpoint is a directory named after its update. Its manifest holds the sha256 of each file and is written last; a
directory without a valid manifest does not count. Several processes that share the weights each write their own rows:
`model-00001-of-00004.safetensors` and so on, which any number of processes can read (see `tensor_files.py`).
"""

import errno
import logging
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from s2s.errors import ArtefactError, NewerError, OutdatedError, ResourceError, wrap_os_errors
from s2s.io.atomic import sync_directory, write_json
from s2s.io.digests import digest_file
from s2s.io.json_values import read_json, validate
from s2s.io.paths import real_directories
from s2s.io.schema import check_schema
from s2s.training.distributed import DistributedContext
from s2s.training.runs.record import MANIFEST, complete_checkpoints
from s2s.training.sharding import is_dtensor, own_part
from s2s.training.tensor_files import TensorFiles, compare_tensors, write_tensors

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
    """The content of a checkpoint to be written."""

    model: dict[str, Tensor]  # weights by parameter name
    optimizer: dict[str, Tensor]  # optimizer state, `decoder.bias.exp_avg`
    state: dict[str, Any]  # progress and random generators, as JSON
    average: dict[str, Tensor] | None = None  # moving average of the weights, if the recipe has one


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """The content of a checkpoint on disk; see `Checkpoint`."""

    model: TensorFiles
    optimizer: TensorFiles
    state: dict[str, Any]
    average: TensorFiles | None

    @property
    def evaluated(self) -> TensorFiles:
        """The weights to evaluate and publish: the moving average if there is one, else the last weights."""
        return self.model if self.average is None else self.average


def checkpoint_path(directory: Path, update: int) -> Path:
    """Return the directory of an update's checkpoint inside `directory`."""
    return directory / f"{update:08d}"


def shard_names(name: str, count: int) -> list[str]:
    """Return the names of the files that hold the tensors of `name` if `count` processes write them."""
    if count == 1:
        return [name]
    stem, _, suffix = name.rpartition(".")
    return [f"{stem}-{number:05d}-of-{count:05d}.{suffix}" for number in range(1, count + 1)]


def save_checkpoint(
    directory: Path, update: int, checkpoint: Checkpoint, distributed: DistributedContext | None = None
) -> Path:
    """Write a checkpoint inside `directory`, read it back, and return its own directory; on failure, remove it again.

    All processes call this: each writes its rows of sharded tensors, the main one everything else.
    Raises: ResourceError if it cannot be written, or what is read back differs.
    """
    distributed = distributed or DistributedContext()
    path = checkpoint_path(directory, update)
    tensors = {MODEL: checkpoint.model, OPTIMIZER: checkpoint.optimizer}
    if checkpoint.average is not None:
        tensors[AVERAGE] = checkpoint.average
    # what an interrupted save left, or a run that was rolled back
    distributed.broadcast_from_main(lambda: _remove(path))
    try:
        own: dict[str, str] = {}
        for name, values in tensors.items():
            count = distributed.size if any(map(is_dtensor, values.values())) else 1
            if part := own_part(values, main=distributed.main):
                file = path / shard_names(name, count)[distributed.rank]
                write_tensors(file, part)
                compare_tensors(file, part)
                own[file.name] = digest_file(file)
        digests = {name: digest for one in distributed.all_gather(own) for name, digest in one.items()}
        distributed.broadcast_from_main(lambda: _complete(path, checkpoint.state, digests))
    except BaseException:
        if distributed.main:
            _remove(path)
        raise
    return path


def _complete(path: Path, state: dict[str, Any], digests: dict[str, str]) -> None:
    """Write all but the tensors of a checkpoint, the manifest last."""
    write_json(path / STATE, state)
    write_json(path / MANIFEST, {"schema": SCHEMA, "files": {**digests, STATE: digest_file(path / STATE)}})


def load_checkpoint(path: Path) -> StoredCheckpoint:
    """Open the checkpoint in `path`. Raises ArtefactError if it is damaged or has another schema."""
    files = verify_checkpoint(path)
    model, optimizer, average = (_shards(files, name) for name in (MODEL, OPTIMIZER, AVERAGE))
    return StoredCheckpoint(
        TensorFiles([path / name for name in model]),
        TensorFiles([path / name for name in optimizer]),
        read_json(path / STATE),
        TensorFiles([path / name for name in average]) if average else None,
    )


def verify_checkpoint(path: Path) -> dict[str, str]:
    """Return the sha256 of each file of an intact checkpoint. Raises ArtefactError: see `load_checkpoint`."""
    where = f"{MANIFEST} of checkpoint {path}"
    values = read_json(path / MANIFEST, where)
    check_schema(values, SCHEMA, f"checkpoint {path}")
    files = validate(Manifest, values, where).files
    expected = {STATE, *files}
    for name in (MODEL, OPTIMIZER, AVERAGE):
        if (count := len(_shards(files, name))) or name != AVERAGE:
            expected |= {*shard_names(name, max(1, count))}
    for name in sorted(expected):
        if name not in files or not (path / name).is_file() or digest_file(path / name) != files[name]:
            raise ArtefactError(f"checkpoint {path}: {name} is damaged")
    return files


def _shards(files: Iterable[str], name: str) -> list[str]:
    """Return which files hold the tensors of `name`, in their order."""
    stem, _, suffix = name.rpartition(".")
    return sorted(file for file in files if re.fullmatch(rf"{stem}(-\d{{5}}-of-\d{{5}})?\.{suffix}", file))


def newest_intact(directories: Sequence[Path]) -> Path | None:
    """Return the newest intact checkpoint inside any of the directories; None if none was ever saved.

    Damaged ones are renamed to `00000190.damaged`, each with a warning.
    Raises: see `is_intact`; ArtefactError if all are damaged.
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
    """Return whether a checkpoint is intact; rename a damaged one, with a warning.

    Raises: OutdatedError or NewerError if it has another schema, ResourceError if it cannot be read now.
    """
    try:
        verify_checkpoint(path)
    except (OutdatedError, NewerError):
        raise
    except (ArtefactError, ResourceError) as error:
        if isinstance(error, ResourceError) and getattr(error.__cause__, "errno", None) != errno.EIO:
            raise
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


def _remove(path: Path) -> None:
    """Remove a checkpoint, its manifest first: a checkpoint that is half removed must not count."""
    if path.is_symlink():
        path.unlink()
        return
    (path / MANIFEST).unlink(missing_ok=True)
    if path.exists():
        sync_directory(path)
    shutil.rmtree(path, ignore_errors=True)
