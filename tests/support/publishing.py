"""Publishing contents that a test has in memory."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from s2s.registry.card import Card
from s2s.registry.store import Registry
from s2s.registry.version import Version


def publish(registry: Registry, name: str, contents: Mapping[str, bytes], card: Card) -> Version:
    """Write contents to files and publish these."""
    with tempfile.TemporaryDirectory() as directory:
        files = {file: Path(directory) / file for file in contents}
        for file, content in contents.items():
            files[file].write_bytes(content)
        return registry.publish(name, files, card)


def directory_state(directory: Path) -> dict[Path, tuple[int, ...]]:
    """What `stat` says of everything in a directory, except when it was read."""
    found = ((path, path.stat()) for path in directory.rglob("*"))
    return {path: (one.st_mode, one.st_ino, one.st_nlink, one.st_size, one.st_mtime_ns) for path, one in found}
