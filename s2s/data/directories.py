"""Directories that one process at a time creates, complete or not at all."""

import contextlib
import fcntl
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from s2s.errors import wrap_os_errors
from s2s.io import locks
from s2s.io.atomic import named_when_done

log = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Wait until no other process makes `directory`, and keep others from it.

    Raises: ResourceError where its parent cannot be written or the disk is full.
    """
    with wrap_os_errors(directory.parent, "write in"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory.parent)
    with locks.exclusive_lock(_lock(directory), f"making {directory}", log.info):
        yield


@contextlib.contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """Yield a temporary directory that is renamed to `directory`, complete and durable, if the block succeeds.

    To be used by the only writer; what is put into it must be durable by itself.
    """
    temporary = directory.with_name(f".{directory.name}.tmp")
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir()
    with named_when_done(temporary, directory):
        yield temporary


def _lock(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.lock")


def _remove_leftovers(parent: Path) -> None:
    """Remove what processes that died have left: temporary directories that nobody holds the lock of."""
    for left in parent.glob(".*.tmp"):
        with contextlib.suppress(OSError), _lock(parent / left.stem[1:]).open("a") as lock:  # held, or another user's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
