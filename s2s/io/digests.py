"""SHA-256 digests of bytes, JSON values and files."""

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

from s2s.errors import wrap_os_errors

CHUNK = 2**20  # bytes


def digest_bytes(content: bytes) -> str:
    """Return the hexadecimal sha256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def digest_json(value: Any) -> str:
    """Return the hexadecimal sha256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def digest_file(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's content."""
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_and_digest(source: BinaryIO, target: BinaryIO) -> str:
    """Copy a file in chunks and return the hexadecimal sha256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
