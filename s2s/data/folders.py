"""Folders made by one process at a time: a lock that dies with its process, a folder that appears complete or not."""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from s2s.errors import explained
from s2s.io import locks
from s2s.io.atomic import named_when_done


@contextlib.contextmanager
def only_writer(folder: Path, notify: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process makes `folder`, and keep others from it; `notify` is told who is waited for.

    Raises: ResourceError where its parent cannot be written or the disk is full.
    """
    with explained(folder.parent, "write in"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder.parent)
    with locks.only_writer(_lock(folder), f"making {folder}", notify):
        yield


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that gets the name `folder`, complete and durable, when the block ends without an exception.

    To be used by the only writer; what is put into it must be durable by itself.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir()
    with named_when_done(temporary, folder):
        yield temporary


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _remove_leftovers(parent: Path) -> None:
    """Remove what processes that died have left: temporary folders that nobody holds the lock of."""
    for left in parent.glob(".*.tmp"):
        with contextlib.suppress(OSError), _lock(parent / left.stem[1:]).open("a") as lock:  # held, or another user's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
