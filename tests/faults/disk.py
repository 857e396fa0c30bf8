"""What a disk holds after its power has failed: what was synced, and of the rest nothing, or the names alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Union

from watching import Operation

Entry = Union["Folder", "File"]


class File:
    """A file: what of its content is durable."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable


class Folder:
    """A folder: its entries, and those that are durable."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.durable: dict[str, Entry] = {}


class Disk:
    """A folder's files, and what operations make of them."""

    def __init__(self, root: Path) -> None:
        """Begin with what is in `root`, all of it durable."""
        self.root = root
        self.top = _read(root)

    def apply(self, operation: Operation) -> None:
        """Carry out one operation."""
        folder, name = self._place(operation.path)
        if operation.kind == "folder" and name:
            folder.entries.setdefault(name, Folder())
        elif operation.kind == "write":
            folder.entries.setdefault(name, File())
        elif operation.kind == "sync" and operation.content is None:
            synced = folder.entries[name] if name else self.top
            assert isinstance(synced, Folder)
            synced.durable = dict(synced.entries)
        elif operation.kind == "sync":
            synced = folder.entries.setdefault(name, File())
            assert isinstance(synced, File)
            synced.durable = operation.content or b""
        elif operation.kind == "remove":
            folder.entries.pop(name, None)
        elif operation.kind in {"rename", "link"} and name in folder.entries:
            target, new = self._place(operation.to)
            target.entries[new] = folder.entries[name]
            if operation.kind == "rename":
                del folder.entries[name]

    def left(self, *, names: bool) -> dict[str, bytes | None]:
        """Path → content (None: a folder) after the power has failed; with the `names` that were not synced, or not."""
        return dict(_walk(self.top, "", names=names))

    def _place(self, path: str) -> tuple[Folder, str]:
        """The folder that a path lies in, and its name there."""
        *above, name = Path(path).relative_to(self.root).parts or ("",)
        folder = self.top
        for part in above:
            below = folder.entries.setdefault(part, Folder())
            assert isinstance(below, Folder)
            folder = below
        return folder, name


def put(left: dict[str, bytes | None], root: Path) -> None:
    """Make a folder of what is left."""
    root.mkdir()
    for name, content in left.items():
        path = root / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.write_bytes(content)


def _read(path: Path) -> Folder:
    folder = Folder()
    for entry in path.iterdir():
        folder.entries[entry.name] = _read(entry) if entry.is_dir() else File(entry.read_bytes())
    folder.durable = dict(folder.entries)
    return folder


def _walk(folder: Folder, path: str, *, names: bool) -> Iterable[tuple[str, bytes | None]]:
    for name, entry in sorted((folder.entries if names else folder.durable).items()):
        if isinstance(entry, File):
            yield f"{path}{name}", entry.durable
        else:
            yield f"{path}{name}", None
            yield from _walk(entry, f"{path}{name}/", names=names)
