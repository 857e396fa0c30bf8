"""Bundles: a version in one file, to hand on.

A plain tar of `manifest.json` and the version's files, in which nothing depends on when and by whom it was written. It
is read here without Python's tarfile, which allocates whatever size the header of an extension claims.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import Field

from s2s.errors import ArtefactError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_writer
from s2s.io.digests import digest_json
from s2s.io.json_values import parse_json, validate
from s2s.io.schema import check_schema
from s2s.recipe.options import Name, Options
from s2s.registry.receiving import Offer, chunks, receive, untrusted
from s2s.registry.store import Registry
from s2s.registry.version import Version, VersionRecord

SCHEMA = 1  # number of the manifest's schema
MANIFEST = "manifest.json"
BLOCK = tarfile.BLOCKSIZE
MAX_MANIFEST = 2**24  # bytes
MAX_MEMBERS = 16

Members = dict[str, tuple[int, int]]  # offset and size of the content, by name


class Manifest(Options):
    """What a bundle says about itself."""

    schema_version: int = Field(SCHEMA, alias="schema", ge=1, le=SCHEMA, description="number of the manifest's schema")
    name: Name = Field(description="the model's name where it was exported")
    version: int = Field(ge=1, description="the version's number where it was exported")
    record: dict[str, Any] = Field(description="the version's file: its files with digests and sizes, and its card")
    digest: str = Field(description="sha256 of the record")


def export_bundle(version: Version, path: Path) -> None:
    """Write a version to a new file, complete or not at all.

    Raises: UsageError if the file exists, ArtefactError if the version is damaged, ResourceError if the file cannot be
    written.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists", "give another name")
    files = {name: version.path(name) for name in sorted(version.files)}
    record = version.record().as_dict()
    manifest = Manifest(name=version.name, version=version.number, record=record, digest=digest_json(record))
    content = (json.dumps(manifest.model_dump(by_alias=True), indent=2, ensure_ascii=False) + "\n").encode()
    with atomic_writer(path) as target, tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_header(MANIFEST, len(content)), io.BytesIO(content))
        for name, source in files.items():
            with source.open("rb") as file:
                tar.addfile(_header(name, version.files[name].size), file)


def import_bundle(registry: Registry, path: Path, name: str | None = None) -> tuple[Version, bool]:
    """Publish the version in a bundle, as the next one of `name` or of its own; see `receive`."""
    with wrap_os_errors(path, "read"):
        if path.exists() and not path.is_file():
            raise UsageError(f"cannot read {path}: it is not a regular file", "name a bundle of s2s models export")
        file = path.open("rb")
    with file:
        offer = _read_offer(file, str(path))
        return receive(registry, name or offer.name, offer)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)  # of nobody, from 1970
    header.size = size
    return header


def _read_offer(file: BinaryIO, source: str) -> Offer:
    """Read the manifest of a bundle, and compare the members with it."""
    with untrusted(source):
        members = _read_members(file)
        manifest = _read_manifest(file, members)
        record = VersionRecord.parse(manifest.record, f"{manifest.name}:{manifest.version}")
        sizes = {name: stored.size for name, stored in record.files.items()}
        found = {name: size for name, (_, size) in members.items() if name != MANIFEST}
        if sizes.keys() != found.keys():
            odd = sorted(sizes.keys() ^ found.keys())
            raise ArtefactError(f"its members are not those of its manifest: {', '.join(map(repr, odd))}")
        if wrong := [name for name in sizes if sizes[name] != found[name]]:
            raise ArtefactError(f"{wrong[0]} has {found[wrong[0]]:,} bytes, its manifest says {sizes[wrong[0]]:,}")

    def read(name: str, offset: int) -> Iterator[bytes]:
        start, size = members[name]
        with wrap_os_errors(source, "read"):
            file.seek(start + offset)
            yield from chunks(file, size - offset)

    return Offer(source, manifest.name, manifest.version, record, read)


def _read_manifest(file: BinaryIO, members: Members) -> Manifest:
    start, size = members.get(MANIFEST, (0, 0))
    if not 0 < size <= MAX_MANIFEST:
        raise ArtefactError(f"it has no {MANIFEST} of at most {MAX_MANIFEST >> 20} MiB")
    file.seek(start)
    values = parse_json(file.read(size), MANIFEST)
    check_schema(values, SCHEMA, MANIFEST, "export it again")
    manifest = validate(Manifest, values, MANIFEST)
    if digest_json(manifest.record) != manifest.digest:
        raise ArtefactError(f"{MANIFEST} is damaged: the record's sha256 is not the stored one")
    return manifest


def _read_members(file: BinaryIO) -> Members:
    """Return the members of a tar. Raises ArtefactError unless they are a few regular files that lie in it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    members: Members = {}
    while (block := file.read(BLOCK)) != bytes(BLOCK):
        header = _parse_header(block)
        name, size, start = header.name, header.size, file.tell()
        if header.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            raise ArtefactError(f"member {name!r} is not a regular file")
        if name in members or len(members) == MAX_MEMBERS:
            raise ArtefactError(f"member {name!r} is one too many")
        if not 0 <= size <= end - start:
            raise ArtefactError(f"member {name!r} is cut off")
        members[name] = start, size
        file.seek(start + -(-size // BLOCK) * BLOCK)
    rest = file.read(tarfile.RECORDSIZE + 1)
    if not BLOCK <= len(rest) <= tarfile.RECORDSIZE or len(rest) % BLOCK or any(rest):
        raise ArtefactError("its end is damaged")
    return members


def _parse_header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
    except tarfile.HeaderError as error:
        raise ArtefactError(f"it is not a bundle, or is damaged ({error})") from error
