"""Files: the one place that writes artefacts, and the reader of lines as bytes.

An artefact appears complete or not at all: a temporary file beside it, flush, fsync, rename, fsync of the folder.
"""

import contextlib
import errno
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from s2s.errors import ArtefactError, DataError, ResourceError, UsageError

TRIES = 5  # to take a lock, in case it is only being looked at
PAUSE_SECONDS = 0.02


def home() -> Path:
    """The folder of corpora, runs and the registry: `S2S_HOME`, or the user's data folder."""
    if folder := os.environ.get("S2S_HOME"):
        return Path(folder).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("s2s")


def cache() -> Path:
    """The folder of what can be made again: `S2S_CACHE`, or the user's cache folder."""
    if folder := os.environ.get("S2S_CACHE"):
        return Path(folder).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("s2s")


@contextlib.contextmanager
def explained(path: Path | str, doing: str) -> Iterator[None]:
    """Turn an `OSError` at `path` into a UsageError where there is no such name, or else into a ResourceError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        kind = UsageError if error.errno in {errno.ENOENT, errno.EISDIR, errno.ENOTDIR} else ResourceError
        raise kind(f"cannot {doing} {path}: {reason}") from error


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each durable."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync_folder(path.parent)


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears at `path`, complete and durable, when the block ends without an exception.

    Raises: UsageError, ResourceError where the folder cannot be written.
    """
    with explained(path, "write"):
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield cast(BinaryIO, file)
                file.flush()
                os.fchmod(
                    file.fileno(), 0o666 & ~_umask()
                )  # mkstemp makes it private; a shared registry must be readable
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to put files in, which appears at `path`, they complete and durable, when the block ends without an
    exception.

    Raises: UsageError, ResourceError where it cannot be written, or a folder that is not empty is there by then.
    """
    with explained(path, "write"):
        make_folder(path.parent)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        with named_when_done(temporary, path):
            yield temporary
            for file in temporary.iterdir():
                _sync_file(file)
            temporary.chmod(0o777 & ~_umask())  # mkdtemp makes it private


@contextlib.contextmanager
def named_when_done(temporary: Path, path: Path) -> Iterator[None]:
    """Give a folder, whose files are durable by themselves, the name `path` beside it when the block ends; delete it
    where that ends with an exception.
    """
    try:
        yield
        sync_folder(temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with atomic_writer(path) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The JSON value in `path`. Raises ArtefactError where it is not JSON."""
    with explained(path, "read"):
        content = path.read_bytes()
    try:
        return json.loads(content)
    except ValueError as error:
        raise ArtefactError(f"{path} is damaged: not JSON ({error})") from error


def digest_bytes(content: bytes) -> str:
    """The sha256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_json(value: Any) -> str:
    """The sha256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def digest_file(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with explained(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_join(root: Path, *parts: str) -> Path:
    """`root/parts…`, refused where it would leave `root`. Raises ArtefactError."""
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ArtefactError(f"{Path(*parts)} leaves the folder {root}")
    return path


def open_input(path: str) -> BinaryIO:
    """A file to read as bytes: `-` is standard input, a name that ends in `.gz` is unpacked.

    Raises: UsageError where it does not exist or is a folder, ResourceError where it may not be read.
    """
    if path == "-":
        if sys.stdin is None:
            raise ResourceError("cannot read standard input: it is closed")
        return sys.stdin.buffer
    with explained(path, "read"):
        if Path(path).is_dir():
            raise UsageError(f"cannot read {path}: it is a folder", "name a file")
        return cast(BinaryIO, gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb"))


def refuse_twice(names: Sequence[str]) -> None:
    """Raise UsageError where several inputs are standard input."""
    if names.count("-") > 1:
        raise UsageError("standard input can be read once", "give the other input as a file")


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UsageError where an output is a folder, or is already there and `--force` was not given."""
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder", "name a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"cannot write {path}: it is a device or a pipe, and would be replaced", "name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "give another name, or --force to replace it")


def read_lines(file: BinaryIO, name: str = "input") -> Iterator[bytes]:
    r"""The lines of a file, split at `\n` alone; an unterminated last line counts, no bytes are no lines.

    A trailing carriage return and a leading byte-order mark are stripped.
    Raises: DataError where a gzip file is damaged or ends early, ResourceError where it cannot be read.
    """
    first = True
    for line in _unpacked(file, name):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        yield text.removeprefix(b"\xef\xbb\xbf") if first else text
        first = False


def _unpacked(file: Iterable[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: the gzip file is damaged or ends early ({error})") from error
    except OSError as error:
        raise ResourceError(f"cannot read {name}: {error.strerror or error}") from error


@contextlib.contextmanager
def only_writer(path: Path, doing: str, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the lock dies with its process.

    Where another process holds it, that one and what it is `doing` are told to `waiting`, and waited for.
    Raises: ResourceError that says the same, where there is no `waiting`.
    """
    with explained(path, "lock"):
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
    """The number of the process that holds the lock file `path` as `only_writer` does; None where none does."""
    if not path.is_file():
        return None
    with explained(path, "read"), path.open() as file:
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
    """The process that a lock file names."""
    file.seek(0)
    return file.read(32).strip() or "of another user"
