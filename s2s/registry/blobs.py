"""Blobs: immutable files named by the sha256 of their content, stored once however many versions use them.

Publishing and `Registry.gc` may run at the same time without a lock. It spares recently touched blobs, so a publisher
touches those that already exist; after publishing it restores those that were deleted meanwhile.
"""

import contextlib
import logging
import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import Field

from s2s.errors import ArtefactError, ResourceError, S2SError, wrap_os_errors
from s2s.io.atomic import atomic_writer
from s2s.io.digests import copy_and_digest, digest_bytes, digest_file
from s2s.io.paths import real_directories, real_files, safe_join
from s2s.recipe.options import Options
from s2s.report.format import counted

log = logging.getLogger(__name__)

UNFINISHED = r"\..*\.tmp"  # pattern of the names of files that a writer left behind


class StoredFile(Options):
    """Digest and size of a version's file."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")  # sha256
    size: int = Field(ge=0)  # bytes

    @classmethod
    def of(cls, path: Path) -> "StoredFile":
        """Return the digest and size of a file, read in chunks."""
        return cls(digest=digest_file(path), size=path.stat().st_size)


@dataclass(frozen=True, slots=True)
class Blobs:
    """Blobs in a directory: `sha256/ab/ab12…`."""

    root: Path

    def path(self, file: StoredFile) -> Path:
        """Return the path of a blob, which may not exist. Raises ArtefactError if a link leads to it."""
        return safe_join(self.root / "sha256", file.digest[:2], file.digest)

    def store(self, source: Path) -> StoredFile:
        """Store a copy of a file unless there is one, and mark it as new, so that `gc` spares it."""
        file = StoredFile.of(source)
        path = self.path(file)
        if path.exists():
            with contextlib.suppress(OSError, S2SError):  # just swept, or another user's: store it again
                if digest_file(path) == file.digest:
                    os.utime(path)
                    return file
        self._copy(source, file)
        return file

    def restore(self, source: Path, file: StoredFile) -> None:
        """Store a file again if `gc` deleted it."""
        if not self.path(file).exists():
            self._copy(source, file)

    def verified(self, file: StoredFile, name: str) -> Path:
        """Return the path of a blob after verifying it. Raises ArtefactError, with `name`, if missing or damaged."""
        path = self._existing(file, name)
        if digest_file(path) != file.digest:
            raise _damaged(path, name)
        return path

    def read(self, file: StoredFile, name: str) -> bytes:
        """Read a small blob and verify what was read. Raises ArtefactError, with `name`, if missing or damaged."""
        path = self._existing(file, name)
        with wrap_os_errors(path, "read"):
            content = path.read_bytes()
        if digest_bytes(content) != file.digest:
            raise _damaged(path, name)
        return content

    def _existing(self, file: StoredFile, name: str) -> Path:
        """Return the path of a blob that exists and has its stored size, which bounds what is read."""
        path = self.path(file)
        with wrap_os_errors(path, "read"):
            if not path.exists():
                raise ArtefactError(f"{name} is missing", _restore_hint(path))
            if path.stat().st_size != file.size:
                raise _damaged(path, name)
        return path

    def _copy(self, source: Path, file: StoredFile) -> None:
        with atomic_writer(self.path(file)) as copy, source.open("rb") as original:
            if copy_and_digest(original, copy) != file.digest:
                raise ResourceError(f"{source} changed while it was published", "publish it again")

    def unused(self, used: Container[str]) -> Iterator[Path]:
        """Yield the paths of blobs that are not `used`, and of unfinished ones."""
        return (path for path in self._files() if path.name not in used)

    def _files(self) -> Iterator[Path]:
        """Yield blobs and unfinished ones; nothing that a link leads to or that is named otherwise."""
        for directory in real_directories(self.root / "sha256"):
            pattern = rf"{directory.name}[0-9a-f]{{62}}|{UNFINISHED}"
            if re.fullmatch("[0-9a-f]{2}", directory.name):
                with contextlib.suppress(PermissionError):  # another user's
                    yield from (path for path in real_files(directory) if re.fullmatch(pattern, path.name))


def _damaged(path: Path, name: str) -> ArtefactError:
    return ArtefactError(f"{name} is damaged: its sha256 is not the stored one", _restore_hint(path))


def _restore_hint(path: Path) -> str:
    return f"restore {path}, or train the model anew"


def discardable(paths: Iterable[Path], before: float) -> int:
    """Return the bytes of the files last touched before a time."""
    size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another process was first
            found = path.lstat()
            size += found.st_size if found.st_mtime < before else 0
    return size


def discard_all(paths: Iterable[Path], before: float) -> int:
    """Delete the files last touched before a time, and return the bytes freed; warn about those of other users."""
    freed, refused = 0, 0
    for path in list(paths):
        try:
            freed += discard(path, before)
        except PermissionError:
            refused += 1
    if refused:
        log.warning("%s of other users cannot be deleted: permission denied", counted(refused, "unused file"))
    return freed


def discard(path: Path, before: float) -> int:
    """Delete a file last touched before a time, and return the bytes freed.

    The file is renamed and checked again, so that a file touched by a publisher meanwhile is not deleted.
    """
    try:
        if path.lstat().st_mtime >= before:
            return 0
        aside = path.with_name(f".{uuid4().hex}.tmp")
        path.rename(aside)
        found = aside.lstat()
        if found.st_mtime >= before:
            aside.rename(path)
            return 0
        aside.unlink()
    except FileNotFoundError:  # another process was first
        return 0
    return found.st_size
