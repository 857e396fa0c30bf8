"""Directories that s2s uses, and paths that must stay inside one."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from s2s.errors import ArtefactError, ResourceError, UsageError, wrap_os_errors


def home_dir() -> Path:
    """Return the directory of corpora, runs and the registry: `S2S_HOME`, or the user's data directory."""
    if directory := os.environ.get("S2S_HOME"):
        return Path(directory).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("s2s")


def registry_directory() -> Path:
    """Return the directory of the registry: `S2S_REGISTRY`, or one in the home directory."""
    directory = os.environ.get("S2S_REGISTRY")
    return Path(directory).expanduser().absolute() if directory else home_dir() / "registry"


def cache_dir() -> Path:
    """Return the directory of derived files: `S2S_CACHE`, or the user's cache directory."""
    if directory := os.environ.get("S2S_CACHE"):
        return Path(directory).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("s2s")


def make_shared_directory(directory: Path, variable: str) -> Path:
    """Return a directory that every user of the host may write to, where nobody can remove another's files.

    `variable`: the environment variable that names it. Raises: ResourceError if it cannot be created or is not a
    directory.
    """
    with shared_directory_errors(directory, "make", variable):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            directory.chmod(0o1777)
        if not stat.S_ISDIR(directory.lstat().st_mode):  # a link would make us write elsewhere
            hint = f"remove it, or set {variable} to another directory"
            raise ResourceError(f"{directory} is not a directory", hint)
    return directory


@contextlib.contextmanager
def shared_directory_errors(path: Path, doing: str, variable: str) -> Iterator[None]:
    """Convert an `OSError` at a path of a shared directory to a ResourceError that names the directory's variable."""
    try:
        with wrap_os_errors(path, doing):
            yield
    except (ResourceError, UsageError) as error:
        hint = error.hint or f"{variable} names the directory, which must be writable"
        raise ResourceError(error.message, hint) from error


def safe_join(root: Path, *parts: str) -> Path:
    """Return `root/parts…`. Raises ArtefactError if it is outside `root`, or if a part of it is a symbolic link."""
    path = root.joinpath(*parts)
    for part in (path, *path.parents):
        if part == root:
            break
        if part.is_symlink():
            raise ArtefactError(f"{part} is a symbolic link, which s2s does not follow here", "remove the link")
    if not path.resolve().is_relative_to(root.resolve()):
        raise ArtefactError(f"{Path(*parts)} leaves the directory {root}")
    return path


def real_files(directory: Path) -> list[Path]:
    """Return the regular files in a directory, without links; none if it does not exist. Raises OSError."""
    return [Path(entry) for entry in _entries(directory) if entry.is_file(follow_symlinks=False)]


def real_directories(directory: Path) -> list[Path]:
    """Return the directories in a directory, without links; none if it does not exist. Raises OSError."""
    return [Path(entry) for entry in _entries(directory) if entry.is_dir(follow_symlinks=False)]


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def remove_tree(path: Path) -> None:
    """Remove a directory and everything in it if it exists; of a link, only the link itself. Raises OSError."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def output_file(path: Path) -> Path:
    """Return the file to write for an output that a user names: of a link, its target."""
    return path.resolve() if path.is_symlink() else path


def check_output_directory(directory: Path) -> None:
    """Raise UsageError if a directory to write to is something else."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", "name a directory with --out")


def refuse_links(directory: Path) -> None:
    """Raise ArtefactError if a directory holds a symbolic link, through which writing would change another file."""
    for parent, directories, files in os.walk(directory):
        for path in (Path(parent, name) for name in (*directories, *files)):
            if path.is_symlink():
                raise ArtefactError(f"{path} is a symbolic link, which s2s does not follow here", "remove the link")


def directory_size(directory: Path) -> int:
    """Return the bytes of all files below a directory, ignoring those deleted meanwhile."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total
