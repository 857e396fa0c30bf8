"""Write artefacts so that each appears complete or not at all.

A temporary file in the same directory is flushed, fsynced and renamed; then the directory is fsynced.
"""

import contextlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from s2s.errors import UsageError, wrap_os_errors
from s2s.io.paths import output_file


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(directory: Path) -> None:
    """Make a directory and those above it that are missing, each durable."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync_directory(path.parent)


@contextlib.contextmanager
def atomic_writer(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a binary file that appears at `path`, complete and durable, if the block succeeds.

    `mode`: its permissions before the umask is applied.
    Raises: UsageError or ResourceError if the directory cannot be written.
    """
    temporary = _temporary(path)
    with _write_errors(path, temporary):
        make_directory(path.parent)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                yield cast(BinaryIO, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory that appears at `path`, its files complete and durable, if the block succeeds.

    Raises: UsageError, ResourceError if it cannot be written or a non-empty directory exists by then.
    """
    temporary = _temporary(path)
    with _write_errors(path, temporary):
        make_directory(path.parent)
        temporary.mkdir()
        with rename_when_done(temporary, path):
            yield temporary
            for file in temporary.iterdir():
                _sync_file(file)


@contextlib.contextmanager
def rename_when_done(temporary: Path, path: Path) -> Iterator[None]:
    """Rename a directory to `path` beside it when the block ends; delete it if the block raises.

    The files in it must be durable already.
    """
    try:
        yield
        sync_directory(temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _write_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Convert an `OSError` at `path`, at `temporary` or at directories above and files below it; let others through."""
    try:
        yield
    except OSError as error:
        where = path if error.filename is None else Path(str(error.filename))
        if where != path and not where.is_relative_to(temporary) and not temporary.is_relative_to(where):
            raise
        with wrap_os_errors(path, "write"):
            raise


def _temporary(path: Path) -> Path:
    """Return a new name beside `path` for what it is until it is complete."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write `content` to `path`, atomically. `mode`: see `atomic_writer`."""
    with atomic_writer(path, mode) as file:
        file.write(content)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a durable file to `target`, or copy it if that is not possible. Raises OSError."""
    try:
        os.link(source, target)
    except OSError:  # the file system has no hard links or allows no more, or the file is another user's
        shutil.copyfile(source, target)
        _sync_file(target)


def output_writer(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    """Return the `atomic_writer` of a file that a user names: of a link, its target. A private file stays private."""
    target = output_file(path)
    return atomic_writer(target, stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666)


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user names, atomically; see `output_writer`."""
    with output_writer(path) as file:
        file.write(content)


def write_json(path: Path, value: Any, mode: int = 0o666) -> None:
    """Write `value` as indented JSON, atomically. Raises ValueError if a number is not finite.

    `mode`: see `atomic_writer`.
    """
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(), mode)


def mark_as_cache(directory: Path) -> None:
    """Tell backup programs to leave a directory out (bford.info/cachedir)."""
    if not (directory / "CACHEDIR.TAG").exists():
        write_bytes(directory / "CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55\n")


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file, which is created if it is missing. Raises OSError, also if it is a link."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with os.fdopen(handle, "ab") as file:
        file.write(f"{line}\n".encode())


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UsageError if an output is a directory, or exists without `--force`."""
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a directory", "name a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"cannot write {path}: it is a device or a pipe, and would be replaced", "name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "give another name, or --force to replace it")
