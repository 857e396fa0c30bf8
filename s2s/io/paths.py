"""Directories that s2s uses, and paths that must stay inside one."""

import contextlib
import os
from pathlib import Path

from s2s.errors import ArtefactError


def home_dir() -> Path:
    """Return the directory of corpora, runs and the registry: `S2S_HOME`, or the user's data directory."""
    if directory := os.environ.get("S2S_HOME"):
        return Path(directory).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("s2s")


def cache_dir() -> Path:
    """Return the directory of derived files: `S2S_CACHE`, or the user's cache directory."""
    if directory := os.environ.get("S2S_CACHE"):
        return Path(directory).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("s2s")


def safe_join(root: Path, *parts: str) -> Path:
    """Return `root/parts…`. Raises ArtefactError if it is outside `root`."""
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ArtefactError(f"{Path(*parts)} leaves the directory {root}")
    return path


def directory_size(directory: Path) -> int:
    """Return the bytes of all files below a directory, ignoring those deleted meanwhile."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total
