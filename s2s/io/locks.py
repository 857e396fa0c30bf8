"""Locks that die with their process."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from s2s.errors import ResourceError, wrap_os_errors

TRIES = 5  # to take a lock, in case it is only being looked at
PAUSE_SECONDS = 0.02


@contextlib.contextmanager
def exclusive_lock(path: Path, doing: str, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the lock dies with its process.

    Where another process holds it, that one and what it is `doing` are told to `waiting`, and waited for.
    Raises: ResourceError that says the same, where there is no `waiting`.
    """
    with wrap_os_errors(path, "lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        if not _locked(file):
            busy = f"process {_named(file)} is {doing}"
            if waiting is None:
                raise ResourceError(busy)
            waiting(f"{busy}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def writer(path: Path) -> str | None:
    """Return the process that holds the lock file `path` through `exclusive_lock`, or None."""
    if not path.is_file():
        return None
    with wrap_os_errors(path, "read"), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _named(file)
        return None


def _locked(file: TextIO) -> bool:
    """Whether the lock was free and is taken now."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _named(file: TextIO) -> str:
    """Return the process that a lock file names."""
    file.seek(0)
    return file.read(32).strip() or "of another user"
