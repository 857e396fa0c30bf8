"""Receive versions from bundles and remotes: everything is checked before anything appears in the registry.

The files of a version are staged in the user's cache, where a transfer that was interrupted goes on, then checked as
loading checks them, then published.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from s2s.errors import ArtefactError, ResourceError, UsageError, wrap_os_errors
from s2s.io.atomic import make_directory, mark_as_cache
from s2s.io.digests import CHUNK
from s2s.io.json_values import MAX_BYTES
from s2s.io.locks import exclusive_lock
from s2s.io.paths import cache_dir, remove_tree
from s2s.recipe.recipe import is_name
from s2s.registry.blobs import Blobs
from s2s.registry.store import NAME_RULE, Registry
from s2s.registry.version import WEIGHTS, Version, VersionRecord
from s2s.report.format import format_size

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 30.0
FILES = {WEIGHTS, "tokenizer.model", "recipe.json"}  # of every version


@dataclass(frozen=True, slots=True)
class Offer:
    """A version that a bundle or a remote offers; nothing it says is trusted."""

    source: str  # shown in errors: a file or an address
    name: str
    number: int
    record: VersionRecord
    read: Callable[[str, int], Iterator[bytes]]  # yields the content of a file from an offset on, at most its size


def receive(registry: Registry, name: str, offer: Offer) -> tuple[Version, bool]:
    """Publish an offered version as the next version of `name`, and return it and whether it is new.

    If `name` has a version with the same files and card, that one is returned. Processes of one user that receive
    versions of the same name wait for each other.

    Raises: ArtefactError if anything about the offer is wrong, UsageError if the name is invalid, ResourceError if
    there is not enough space or the files cannot be read or written.
    """
    if not is_name(name):
        raise UsageError(f"{name}: not a valid model name", NAME_RULE)
    stage = cache_dir() / "incoming" / name
    with wrap_os_errors(stage, "write"):
        mark_as_cache(cache_dir())
    with exclusive_lock(stage / "lock", f"receiving a version of {name}", log.info):
        try:
            version = registry.copy_of(name, offer.record.files, offer.record.card)
            new = version is None
            if version is None:
                version = registry.publish(name, _checked_files(offer, stage), offer.record.card)
        except ArtefactError:
            remove_tree(stage / "sha256")
            raise
        remove_tree(stage / "sha256")
    return version, new


@contextlib.contextmanager
def untrusted(source: str) -> Iterator[None]:
    """Say in errors about what is read from a bundle or remote where it comes from."""
    try:
        yield
    except ArtefactError as error:
        hint = "get it again from a source that you trust, made by the same version of s2s"
        raise ArtefactError(f"{source}: {error.message}", hint) from error


def chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file in chunks, fewer if it ends before."""
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def _checked_files(offer: Offer, stage: Path) -> dict[str, Path]:
    """Stage the files of an offer, check them, and return their paths by name."""
    record, blobs = offer.record, Blobs(stage)
    staged = Version(offer.name, offer.number, record.published, record.files, record.card, blobs)
    with untrusted(offer.source):
        _check_record(record)
        _check_space(offer, stage)
        for name, file in sorted(record.files.items()):
            _fetch(offer, name, blobs.path(file))
        staged.weights()
    return {name: blobs.path(file) for name, file in record.files.items()}


def _check_record(record: VersionRecord) -> None:
    """Check which files a version has, and that those that are read as a whole are not too large for it."""
    if record.files.keys() != FILES:
        raise ArtefactError(f"it has the files {', '.join(sorted(record.files))}, not {', '.join(sorted(FILES))}")
    for name, file in record.files.items():
        if name != WEIGHTS and file.size > MAX_BYTES:
            raise ArtefactError(f"{name} is damaged: larger than {MAX_BYTES >> 20} MiB")


def _check_space(offer: Offer, stage: Path) -> None:
    needed = sum(file.size for file in offer.record.files.values())
    free = shutil.disk_usage(stage).free
    if needed > free:
        raise ResourceError(
            f"{offer.source} needs {format_size(needed)} in {stage}, which has {format_size(free)} free",
            "set S2S_CACHE to a directory with enough space",
        )


def _fetch(offer: Offer, name: str, path: Path) -> None:
    """Read a file from where a transfer before stopped; its digest is verified when it is used."""
    with wrap_os_errors(path, "write"):
        make_directory(path.parent)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        with os.fdopen(handle, "ab") as target:
            logged = time.monotonic()
            for chunk in offer.read(name, target.seek(0, os.SEEK_END)):
                target.write(chunk)
                if time.monotonic() - logged > PROGRESS_SECONDS:
                    logged = time.monotonic()
                    size = format_size(offer.record.files[name].size)
                    log.info("%s: %s of %s", name, format_size(target.tell()), size)
