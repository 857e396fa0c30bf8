"""Observe what a process does to the files in a directory, before each operation happens."""

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save
from torch import Tensor

from s2s.training import tensor_files


@dataclass(frozen=True, slots=True)
class Operation:
    """A file operation."""

    kind: str  # make (a file), directory, write, sync, rename, link or remove
    path: str
    to: str = ""  # new path of a rename or link
    content: bytes | None = None  # what is written, or what the synced file holds
    handle: int = -1  # file descriptor of a write; -1: the writer opens the path itself


@contextlib.contextmanager
def watched(directory: Path, before: Callable[[Operation], None]) -> Iterator[None]:
    """Call `before` with each operation inside `directory`; if it raises, the operation does not happen."""

    def observe(kind: str, path: str, **more: Any) -> None:
        if Path(path).is_relative_to(directory):
            before(Operation(kind, path, **more))

    class WatchedFile(io.FileIO):
        def write(self, content: Any) -> int:
            observe("write", _opened(self.fileno()), content=bytes(content), handle=self.fileno())
            return super().write(content)

    def fdopen(handle: int, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(WatchedFile(handle, mode))

    @functools.wraps(os.open)
    def open_file(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT and str(path).endswith(".tmp"):  # not a lock
            observe("make", str(path))
        return real_open(path, flags, mode, dir_fd=dir_fd)

    @functools.wraps(os.fsync)
    def fsync(handle: int) -> None:
        path = _opened(handle)
        observe("sync", path, content=Path(path).read_bytes() if Path(path).is_file() else None)
        real_fsync(handle)

    def save_file(tensors: dict[str, Tensor], path: Path) -> None:
        observe("write", str(path), content=save(tensors))
        real_save_file(tensors, path)

    real_open, real_fsync, real_save_file = os.open, os.fsync, tensor_files.save_file
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", open_file)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "fdopen", fdopen)
        patch.setattr(tensor_files, "save_file", save_file)
        for name, kind in {"unlink": "remove", "rmdir": "remove", "mkdir": "directory"}.items():
            patch.setattr(os, name, _observed(getattr(os, name), kind, observe))
        for name, kind in {"rename": "rename", "replace": "rename", "link": "link"}.items():
            patch.setattr(os, name, _observed(getattr(os, name), kind, observe))
        yield


def _observed(real: Callable[..., None], kind: str, observe: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def operation(path: Any, *arguments: Any, dir_fd: int | None = None, **more: Any) -> None:
        below = {} if dir_fd is None else {"dir_fd": dir_fd}
        full = os.fspath(path) if dir_fd is None else f"{_opened(dir_fd)}/{path}"
        observe(kind, full, **({"to": os.fspath(arguments[0])} if kind in {"rename", "link"} else {}))
        real(path, *arguments, **below, **more)

    return operation


def _opened(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())
