"""Simulate a disk after a power failure: what was synced survives, of the rest nothing, or only the names."""

from collections.abc import Iterable
from pathlib import Path
from typing import Union

from watching import Operation

Entry = Union["Directory", "File"]


class File:
    """A file and its durable content."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable


class Directory:
    """A directory with its current and its durable entries."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.durable: dict[str, Entry] = {}


class Disk:
    """The files of a directory, and the effect of operations on them."""

    def __init__(self, root: Path) -> None:
        """Start with the content of `root`, all of it durable."""
        self.root = root
        self.top = _read(root)

    def apply(self, operation: Operation) -> None:
        """Apply one operation."""
        directory, name = self._place(operation.path)
        if operation.kind == "directory" and name:
            directory.entries.setdefault(name, Directory())
        elif operation.kind == "write":
            directory.entries.setdefault(name, File())
        elif operation.kind == "sync" and operation.content is None:
            synced = directory.entries[name] if name else self.top
            assert isinstance(synced, Directory)
            synced.durable = dict(synced.entries)
        elif operation.kind == "sync":
            synced = directory.entries.setdefault(name, File())
            assert isinstance(synced, File)
            synced.durable = operation.content or b""
        elif operation.kind == "remove":
            directory.entries.pop(name, None)
        elif operation.kind in {"rename", "link"} and name in directory.entries:
            target, new = self._place(operation.to)
            target.entries[new] = directory.entries[name]
            if operation.kind == "rename":
                del directory.entries[name]

    def left(self, *, names: bool) -> dict[str, bytes | None]:
        """Return what survives a power failure, path → content (None: directory), unsynced `names` included or not."""
        return dict(_walk(self.top, "", names=names))

    def _place(self, path: str) -> tuple[Directory, str]:
        """Return the directory that contains a path, and its name there."""
        *above, name = Path(path).relative_to(self.root).parts or ("",)
        directory = self.top
        for part in above:
            below = directory.entries.setdefault(part, Directory())
            assert isinstance(below, Directory)
            directory = below
        return directory, name


def write_to(left: dict[str, bytes | None], root: Path) -> None:
    """Create the directory `root` with this content."""
    root.mkdir()
    for name, content in left.items():
        path = root / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.write_bytes(content)


def _read(path: Path) -> Directory:
    directory = Directory()
    for entry in path.iterdir():
        directory.entries[entry.name] = _read(entry) if entry.is_dir() else File(entry.read_bytes())
    directory.durable = dict(directory.entries)
    return directory


def _walk(directory: Directory, path: str, *, names: bool) -> Iterable[tuple[str, bytes | None]]:
    for name, entry in sorted((directory.entries if names else directory.durable).items()):
        if isinstance(entry, File):
            yield f"{path}{name}", entry.durable
        else:
            yield f"{path}{name}", None
            yield from _walk(entry, f"{path}{name}/", names=names)
