"""Directories that one process at a time creates, complete or not at all."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from s2s.errors import ResourceError, wrap_os_errors
from s2s.io.atomic import rename_when_done, sync_directory
from s2s.io.locks import exclusive_lock, lock_now, open_lock, shared_lock
from s2s.io.paths import remove_tree

log = logging.getLogger(__name__)


@contextlib.contextmanager
def creation_lock(directory: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Wait until no other process creates `directory`, and keep others from creating it while the block runs.

    Several processes that each do a part of it hold the lock together, `shared`.
    Raises: ResourceError if its parent cannot be written or the disk is full; if another process creates it and `wait`
    is False.
    """
    with wrap_os_errors(directory.parent, "write in"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory.parent)
    lock = shared_lock if shared else exclusive_lock
    with lock(_lock(directory), f"creating {directory}", log.info if wait else None):
        yield


@contextlib.contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """Yield a temporary directory that is renamed to `directory`, complete and durable, if the block succeeds.

    Call it under `creation_lock`; the files inside must be made durable by the block.
    """
    temporary = temporary_directory(directory)
    remove_tree(temporary)
    temporary.mkdir()
    with rename_when_done(temporary, directory):
        yield temporary


def remove_directory(path: Path, directory: Path) -> None:
    """Remove `directory`, or another one beside it that belongs to it, completely or not at all; missing ones are fine.

    Call it under the `creation_lock` of `directory`. Raises: OSError.
    """
    temporary = temporary_directory(directory)
    remove_tree(temporary)
    if path.exists():
        path.rename(temporary)  # if the removal is interrupted, the next process goes on with it
        sync_directory(path.parent)
        remove_tree(temporary)


def temporary_directory(directory: Path) -> Path:
    """Return where `directory` is before it is complete, and while it is removed."""
    return directory.with_name(f".{directory.name}.tmp")


def _lock(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.lock")


def _remove_leftovers(parent: Path) -> None:
    """Remove temporary directories of processes that died: those that nobody holds the lock of."""
    for left in parent.glob(".*.tmp"):
        with contextlib.suppress(OSError, ResourceError):  # another user's
            handle = open_lock(_lock(parent / left.stem[1:]))
            try:
                if lock_now(handle):
                    remove_tree(left)
            finally:
                os.close(handle)
