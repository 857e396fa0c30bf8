"""Tensors in safetensors files: written atomically, by one process or by each its own rows, and read by rows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from s2s.errors import ArtefactError, ResourceError, wrap_os_errors
from s2s.io.atomic import make_directory, sync_directory


class TensorFiles(Mapping[str, Tensor]):
    """Tensors by name, in one file or in several that each hold some rows of a tensor, in the order of the files.

    A tensor that is in one file only is whole there. Nothing is read before it is asked for.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Open the files. Raises ArtefactError if one is damaged."""
        self._parts: dict[str, list[Any]] = {}  # slices of safetensors, by tensor
        self._scalars: dict[str, Any] = {}  # files with the tensors that have no dimension, which cannot be sliced
        for path in paths:
            try:
                file = safe_open(path, "pt")
                for name in file.keys():  # noqa: SIM118 - not a dictionary
                    part = file.get_slice(name)
                    self._parts.setdefault(name, []).append(part)
                    if not part.get_shape():
                        self._scalars[name] = file
            except SafetensorError as error:
                raise ArtefactError(f"{path} is damaged: not a safetensors file ({error})") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, name: str) -> Tensor:
        """Return a whole tensor."""
        parts = self._parts[name]
        if name in self._scalars:
            return self._scalars[name].get_tensor(name)
        return parts[0][:] if len(parts) == 1 else torch.cat([part[:] for part in parts])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a whole tensor."""
        shapes = [part.get_shape() for part in self._parts[name]]
        return (sum(shape[0] for shape in shapes), *shapes[0][1:]) if shapes[0] else ()

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return some rows of a tensor, and read no others."""
        found, first = [], 0
        for part in self._parts[name]:
            count = part.get_shape()[0]
            low, high = max(start - first, 0), min(stop - first, count)
            if low < high:
                found.append(part[low:high])
            first += count
        return torch.cat(found) if found else self._parts[name][0][0:0]


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file atomically, without a copy of it in memory."""
    temporary = path.with_name(f".{path.name}.tmp")
    with wrap_os_errors(path, "write"):
        make_directory(path.parent)
        try:
            save_file(dict(tensors), temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except SafetensorError as error:
            temporary.unlink(missing_ok=True)
            raise ResourceError(f"cannot write {path}: {error}") from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def compare_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise ResourceError if the tensors read from a file are not those that were written."""
    stored = load_file(path)
    if any(not torch.allclose(stored[name], value.cpu(), 0, 0, equal_nan=True) for name, value in tensors.items()):
        raise ResourceError(f"{path} was not stored as it was written", "check the disk")
