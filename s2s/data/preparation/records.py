"""Records: what is known of the files of a preparation, written after them, with digests of them and of itself."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from s2s.errors import ArtefactError, UsageError
from s2s.io.atomic import write_bytes
from s2s.io.digests import digest_file, digest_json
from s2s.io.json_values import read_json, validate

SCHEMA = 1  # of all files of a preparation


class DamagedPartError(ArtefactError):
    """A file of an unfinished corpus that is damaged, or of another version of s2s."""


class Record(NamedTuple):
    """What is known of some files."""

    values: Any
    files: dict[str, str]  # digests by name


def write_record(path: Path, values: Any, *files: Path) -> None:
    """Write JSON values and the digests of files beside them, which must be complete."""
    content = {"schema": SCHEMA, "values": values, "files": {file.name: digest_file(file) for file in files}}
    write_bytes(path, json.dumps(content | {"sha256": digest_json(content)}).encode())


def read_record(path: Path) -> Any:
    """Return the values of a record. Raises DamagedPartError."""
    return _read(path)["values"]


def verified_record(path: Path) -> Record:
    """Return a record. Raises DamagedPartError if one of its files has changed."""
    content = _read(path)
    for name, digest in content["files"].items():
        file = path.with_name(name)
        if not file.is_file() or digest_file(file) != digest:
            raise _damaged(file)
    return Record(content["values"], content["files"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = validate(dict[str, Any], read_json(path), str(path))
    except (ArtefactError, UsageError) as error:
        raise _damaged(path) from error
    if content.pop("sha256", None) != digest_json(content) or content.get("schema") != SCHEMA:
        raise _damaged(path)
    return content


def _damaged(path: Path) -> DamagedPartError:
    return DamagedPartError(
        f"the unfinished corpus has a part that is damaged or of another version: {path}",
        "start the preparation again",
    )
