"""File locks that end with their process."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from s2s.errors import ResourceError, wrap_os_errors

TRIES = 5
PAUSE_SECONDS = 0.02
OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK


@contextlib.contextmanager
def exclusive_lock(path: Path, activity: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs.

    If another process holds it, `on_wait` gets a message that names the process and its `activity`, and the lock is
    waited for. Raises: ResourceError with the same message if there is no `on_wait`.
    """
    with _held(path, fcntl.LOCK_EX, activity, on_wait):
        yield


@contextlib.contextmanager
def shared_lock(path: Path, activity: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`, together with others that share it, while the block runs; see `exclusive_lock`."""
    with _held(path, fcntl.LOCK_SH, activity, on_wait):
        yield


@contextlib.contextmanager
def _held(path: Path, kind: int, activity: str, on_wait: Callable[[str], None] | None) -> Iterator[None]:
    with wrap_os_errors(path, "lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_lock(path)
    try:
        if not any(lock_now(handle, kind) for _ in attempts()):
            busy = f"process {_process_in(handle)} is {activity}"
            if on_wait is None:
                raise ResourceError(busy)
            on_wait(f"{busy}: waiting for it")
            fcntl.flock(handle, kind)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def open_lock(path: Path, *, shared: bool = False) -> int:
    """Open a lock file for reading and writing; create it if it is missing, for all users if `shared`.

    It is opened without O_CREAT first, which Linux refuses for another user's file in a world-writable directory.
    Raises: ResourceError if it is a link, which would be written through, or not a regular file; OSError.
    """
    try:
        handle = os.open(path, OPEN)
    except FileNotFoundError:
        handle = _create(path, shared)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise _not_a_lock(path) from error
        raise
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return handle
    os.close(handle)
    raise _not_a_lock(path)


def lock_holder(path: Path) -> str | None:
    """Return the process that holds the lock file `path` through `exclusive_lock`, or None."""
    if path.is_symlink() or not path.is_file():
        return None
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        return _process_in(file.fileno()) if is_locked(file.fileno()) else None


def attempts() -> Iterator[int]:
    """Yield a few attempts with pauses in between: `is_locked` holds a lock for a moment, too."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        yield attempt


def lock_now(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file if nobody else holds it, and return whether it is locked now."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(handle: int) -> bool:
    """Return whether another open file holds the lock of an open file."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _create(path: Path, shared: bool) -> int:
    try:
        handle = os.open(path, OPEN | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # another process was first
        return os.open(path, OPEN)
    if shared:
        os.fchmod(handle, 0o666)  # other users must be able to lock it, regardless of the umask
    return handle


def _not_a_lock(path: Path) -> ResourceError:
    return ResourceError(f"{path} is a link or not a regular file, so it cannot be locked", "remove it")


def _process_in(handle: int) -> str:
    """Return the process that a lock file names."""
    return os.pread(handle, 32, 0).decode(errors="replace").strip() or "of another user"
