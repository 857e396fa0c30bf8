"""Blobs: immutable files named by the sha256 of their content, stored once however many versions use them.

No lock keeps a publisher and a `sweep` apart. A sweep spares what was touched lately, so a publisher touches what is
there already; and it looks again after publishing, because a sweep that began before may have been quicker.
"""

import contextlib
import os
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import Field

from s2s.errors import ArtefactError, wrap_os_errors
from s2s.io.atomic import write_bytes
from s2s.io.digests import digest_bytes, digest_file
from s2s.io.paths import safe_join
from s2s.recipe.options import Options


class StoredFile(Options):
    """A file of a version: the sha256 of its content, and its size in bytes."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)

    @classmethod
    def of(cls, content: bytes) -> "StoredFile":
        """Return the digest and size under which that content is stored."""
        return cls(digest=digest_bytes(content), size=len(content))


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs under a directory: `sha256/ab/ab12…`."""

    root: Path

    def path(self, file: StoredFile) -> Path:
        """Where a content lies. Raises ArtefactError where that is outside the directory."""
        return safe_join(self.root, "sha256", file.digest[:2], file.digest)

    def store(self, content: bytes) -> StoredFile:
        """Make sure that a content is there, and young, so that a sweep spares it."""
        file = StoredFile.of(content)
        path = self.path(file)
        if path.exists() and digest_file(path) == file.digest:
            with contextlib.suppress(
                OSError
            ):  # swept just now, or another user's that may not be touched: written anew
                os.utime(path)
                return file
        write_bytes(path, content)
        return file

    def restore(self, content: bytes) -> None:
        """Write a content again where a sweep took it."""
        path = self.path(StoredFile.of(content))
        if not path.exists():
            write_bytes(path, content)

    def read(self, file: StoredFile, name: str) -> bytes:
        """Read a content and verify it. Raises ArtefactError, naming it `name`, if it is missing or damaged."""
        path = self.path(file)
        hint = f"restore {path}, or train the model anew"
        with wrap_os_errors(path, "read"):
            if not path.exists():
                raise ArtefactError(f"{name} is missing", hint)
            if path.stat().st_size == file.size:  # first, so that no more is read than was promised
                content = path.read_bytes()
                if digest_bytes(content) == file.digest:
                    return content
        raise ArtefactError(f"{name} is damaged: its sha256 is not the stored one", hint)

    def sweep(self, used: Container[str], before: float) -> int:
        """Delete what is not among the `used` digests and was last touched before that time; the bytes freed."""
        return sum(discard(path, before) for path in list(self.root.glob("sha256/??/*")) if path.name not in used)


def discard(path: Path, before: float) -> int:
    """Delete a file last touched before that time; the bytes freed.

    It is moved aside and looked at once more, so that one which a publisher touches meanwhile is kept.
    """
    try:
        if path.stat().st_mtime >= before:
            return 0
        aside = path.with_name(f".{uuid4().hex}.tmp")
        path.rename(aside)
        found = aside.stat()
        if found.st_mtime >= before:
            aside.rename(path)
            return 0
        aside.unlink()
    except FileNotFoundError:  # another process was first
        return 0
    return found.st_size
