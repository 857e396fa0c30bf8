"""Data files: their paths below the data root, opened and digested."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from s2s.errors import DataError, UsageError, wrap_os_errors
from s2s.io.inputs import open_input
from s2s.recipe.pairs import FileOptions

CHUNK = 2**18  # bytes
MAX_RUN = 2**29  # bytes without a line end, in any kind of file


def data_path(data: FileOptions, name: str) -> str:
    """Return the path of a file that the recipe names."""
    return str(Path(data.root, name))


def open_data_file(data: FileOptions, name: str) -> BinaryIO:
    """Open a file that the recipe names. Raises UsageError, ResourceError if it cannot be read."""
    try:
        return open_input(data_path(data, name))
    except UsageError as error:
        hint = None if Path(name).is_absolute() else "--set data.root=DIRECTORY sets the directory of the data"
        raise UsageError(error.message, hint) from error


def digest_data_file(data: FileOptions, name: str) -> str:
    """Return the sha256 of a file's unpacked content.

    Raises: UsageError if it can only be read once, DataError if it is damaged or has no line ends, as an archive that
    unpacks to zeros without end.
    """
    path = data_path(data, name)
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise UsageError(f"{path} is a pipe or a device: the data are read several times", "write them to a file first")
    digest, run = hashlib.sha256(), 0
    with open_data_file(data, name) as file, wrap_os_errors(path, "read"):
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            run = len(chunk) - 1 - chunk.rfind(b"\n") if b"\n" in chunk else run + len(chunk)
            if run > MAX_RUN:
                raise DataError(f"{path}: over {MAX_RUN >> 20} MiB without the end of a line", "is it text?")
    return digest.hexdigest()
