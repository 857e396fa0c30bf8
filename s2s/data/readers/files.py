"""Data files: their paths below the data root, opened and digested."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from s2s.errors import DataError, UsageError
from s2s.io.inputs import open_input
from s2s.recipe.data import FileOptions


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

    Raises: UsageError if it can only be read once, DataError if it is damaged.
    """
    path = data_path(data, name)
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise UsageError(f"{path} is a pipe or a device: the data are read several times", "write them to a file first")
    with open_data_file(data, name) as file:
        try:
            return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: the gzip file is damaged or truncated ({error})") from error
