"""What a process does to the files below a directory, told before each operation happens."""

import contextlib
import functools
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Operation:
    """One of make (a file), directory, write, sync, rename, link, remove; `content`: what is written, or the file synced
    holds.
    """

    kind: str
    path: str
    to: str = ""
    content: bytes | None = None
    handle: int = -1


@contextlib.contextmanager
def watched(directory: Path, before: Callable[[Operation], None]) -> Iterator[None]:
    """Call `before` with each operation below `directory`; where it raises, the operation does not happen."""

    def tell(kind: str, path: str, **more: Any) -> None:
        if Path(path).is_relative_to(directory):
            before(Operation(kind, path, **more))

    class WatchedFile(io.FileIO):
        def write(self, content: Any) -> int:
            tell("write", _opened(self.fileno()), content=bytes(content), handle=self.fileno())
            return super().write(content)

    def fdopen(handle: int, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(WatchedFile(handle, mode))

    @functools.wraps(tempfile.mkstemp)
    def mkstemp(**how: Any) -> tuple[int, str]:
        tell("make", str(how["dir"]))
        return real_mkstemp(**how)

    @functools.wraps(os.fsync)
    def fsync(handle: int) -> None:
        path = _opened(handle)
        tell("sync", path, content=Path(path).read_bytes() if Path(path).is_file() else None)
        real_fsync(handle)

    real_mkstemp, real_fsync = tempfile.mkstemp, os.fsync
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", mkstemp)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "fdopen", fdopen)
        for name, kind in {"unlink": "remove", "rmdir": "remove", "mkdir": "directory"}.items():
            patch.setattr(os, name, _told(getattr(os, name), kind, tell))
        for name, kind in {"rename": "rename", "replace": "rename", "link": "link"}.items():
            patch.setattr(os, name, _told(getattr(os, name), kind, tell))
        yield


def _told(real: Callable[..., None], kind: str, tell: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def operation(path: Any, *arguments: Any, dir_fd: int | None = None, **more: Any) -> None:
        below = {} if dir_fd is None else {"dir_fd": dir_fd}
        full = os.fspath(path) if dir_fd is None else f"{_opened(dir_fd)}/{path}"
        tell(kind, full, **({"to": os.fspath(arguments[0])} if kind in {"rename", "link"} else {}))
        real(path, *arguments, **below, **more)

    return operation


def _opened(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())
