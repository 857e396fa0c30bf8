"""Remotes: registries at addresses that fsspec reads and writes, such as `s3://bucket/models` or a directory.

    ADDRESS/blobs/sha256/ab/ab12…    files, stored once; one that is there with the right size is not sent again
    ADDRESS/models/NAME/3.json       one version: its files and its card. Written last: it exists = published

A remote is laid out as a registry, and a directory is one. Elsewhere, a number is claimed by creating its file, which
storage such as S3 does only if it does not exist; other storage is asked first.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from s2s.errors import ArtefactError, ResourceError, S2SError, UsageError, did_you_mean
from s2s.io.atomic import write_json
from s2s.io.json_values import parse_json
from s2s.recipe.recipe import is_name
from s2s.registry.blobs import StoredFile
from s2s.registry.card import Card
from s2s.registry.receiving import Offer, chunks, receive, untrusted
from s2s.registry.reference import Reference
from s2s.registry.store import Registry
from s2s.registry.version import Version, VersionRecord, removal_day, version_numbers

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MAX_RECORD = 2**24  # bytes of a version's file
CHECK = "check the address and your access; a transfer that is repeated goes on where it stopped"


@dataclass(frozen=True, slots=True)
class Remote:
    """A registry at an address."""

    address: str
    files: "AbstractFileSystem"
    root: str  # path in `files`

    @classmethod
    def open(cls, address: str) -> Self:
        """Return the remote at an address, without connecting to it.

        Raises: UsageError if the address is of an unknown kind, ResourceError if a library for it is missing.
        """
        from fsspec.core import url_to_fs

        with _storage_errors(address):
            try:
                files, root = url_to_fs(address)
            except ValueError as error:  # of a protocol that is not known
                raise UsageError(f"{address}: {error}", "such as s3://bucket/models, or a directory") from error
            files.invalidate_cache()
        return cls(address.rstrip("/"), files, root.rstrip("/"))

    def numbers(self, name: str) -> list[int]:
        """Return the version numbers in use in ascending order, those of removed versions included."""
        return version_numbers(self._list(f"models/{name}"))

    def record(self, name: str, number: int) -> VersionRecord | None:
        """Return the content of a version's file; None if there is none, or if the version was removed.

        Raises: ArtefactError if it is damaged.
        """
        path, reference = self._record_path(name, number), f"{name}:{number}"
        with _storage_errors(self.address):
            try:
                details = self.files.info(path)
            except FileNotFoundError:
                return None
            if details["size"] == 0:  # claimed, but not published yet
                return None
            if details["type"] != "file" or not 0 < (details["size"] or 0) <= MAX_RECORD:
                raise ArtefactError(f"{self.address}: {reference} is not a file of at most {MAX_RECORD >> 20} MiB")
            content = self.files.cat_file(path, start=0, end=details["size"])
        with untrusted(self.address):
            values = parse_json(content, f"model {reference}")
            return None if removal_day(values) else VersionRecord.parse(values, reference)

    def offer(self, reference: Reference) -> Offer:
        """Return what the remote has under `name` (the newest version) or `name:3`.

        Raises: UsageError if there is no such version, ArtefactError if it is damaged.
        """
        name = reference.name
        numbers = [reference.version] if reference.version else reversed(self.numbers(name))
        for number in numbers:
            if record := self.record(name, number):
                return Offer(self.address, name, number, record, lambda file, offset: self._read(record, file, offset))
        names = [entry for entry in self._list("models") if is_name(entry)]
        known = ", ".join(map(str, sorted(number for number, _ in self._readable(name))))
        hint = f"versions of {name} there: {known}" if known else did_you_mean(name, names) or "check the address"
        raise UsageError(f"{self.address} has no model {reference}", hint)

    def push(self, version: Version) -> tuple[int, bool]:
        """Store a version under its own number; if that is taken, under the one after the highest.

        A version that is there already, with the same files and card, is not stored again. Returns the number, and
        whether it is new there.

        Raises: ArtefactError if the version is damaged, ResourceError if it cannot be stored.
        """
        from fsspec.implementations.local import LocalFileSystem

        if (known := self._number_of(version.name, version.files, version.card)) is not None:
            return known, False
        files = {name: version.path(name) for name in version.files}
        if isinstance(self.files, LocalFileSystem):
            registry = Registry(Path(self.root or "/"))
            try:
                return registry.publish(version.name, files, version.card, version.number).number, True
            except ResourceError as error:
                raise ResourceError(error.message, CHECK) from error
        for name, file in version.files.items():
            self._store(files[name], file)
        return self._claim(version), True

    def _number_of(self, name: str, files: Mapping[str, StoredFile], card: Card) -> int | None:
        """Return the number of a version with these files and this card, or None."""
        found = (number for number, record in self._readable(name) if (record.files, record.card) == (files, card))
        return next(found, None)

    def _readable(self, name: str) -> Iterator[tuple[int, VersionRecord]]:
        """Yield the versions of a model that are neither removed nor damaged, newest first."""
        for number in reversed(self.numbers(name)):
            with contextlib.suppress(ArtefactError):
                if record := self.record(name, number):
                    yield number, record

    def _store(self, source: Path, file: StoredFile) -> None:
        """Store a file as a blob, unless it is there."""
        path = self._blob_path(file)
        with _storage_errors(self.address):
            if self._size(path) == file.size:
                return
            self.files.put_file(str(source), path)
            if self._size(path) != file.size:
                raise ResourceError(f"{self.address}: {path} was not stored as a whole", "push again")

    def _claim(self, version: Version) -> int:
        """Store the version's file under the first number that is free, and return the number."""
        following = max(self.numbers(version.name), default=0) + 1
        with tempfile.TemporaryDirectory() as directory, _storage_errors(self.address):
            source = Path(directory) / "version.json"
            write_json(source, VersionRecord.now(dict(version.files), version.card).as_dict())
            numbers = chain([version.number], count(following))
            while True:
                path = self._record_path(version.name, number := next(numbers))
                try:
                    self.files.put_file(str(source), path, mode="create")
                    return number
                except FileExistsError:
                    if self._size(path) is None:  # something else is in the way
                        raise

    def _read(self, record: VersionRecord, name: str, offset: int) -> Iterator[bytes]:
        """Yield the content of a file of a version from an offset on; see `Offer.read`."""
        file = record.files[name]
        path = self._blob_path(file)
        with _storage_errors(self.address):
            if self._size(path) != file.size:
                raise ArtefactError(f"{name} is missing or has another size")
            with self.files.open(path, "rb") as source:
                source.seek(offset)
                yield from chunks(source, file.size - offset)

    def _size(self, path: str) -> int | None:
        """Return the size of a file; None if there is none."""
        try:
            details: dict[str, Any] = self.files.info(path)
        except FileNotFoundError:
            return None
        return details["size"] if details["type"] == "file" else None

    def _list(self, directory: str) -> list[str]:
        """Return the names in a directory; none if it does not exist."""
        with _storage_errors(self.address):
            try:
                entries: list[str] = self.files.ls(f"{self.root}/{directory}", detail=False)
            except FileNotFoundError:
                return []
        return [entry.rstrip("/").rpartition("/")[2] for entry in entries]

    def _record_path(self, name: str, number: int) -> str:
        return f"{self.root}/models/{name}/{number}.json"

    def _blob_path(self, file: StoredFile) -> str:
        return f"{self.root}/blobs/sha256/{file.digest[:2]}/{file.digest}"


def pull(registry: Registry, source: str, name: str | None = None) -> tuple[Version, bool]:
    """Publish the version at `ADDRESS/NAME` or `ADDRESS/NAME:3` as the next one of `name`, or NAME; see `receive`."""
    address, _, text = source.rpartition("/")
    if not address or address.endswith(":/"):
        raise UsageError(f"{source}: expected ADDRESS/NAME or ADDRESS/NAME:VERSION", "such as s3://bucket/models/NAME")
    wanted = Reference.parse(text)
    if wanted.alias:
        raise UsageError(f"{source}: aliases are not pulled", f"name a version: {address}/{wanted.name}:VERSION")
    return receive(registry, name or wanted.name, Remote.open(address).offer(wanted))


@contextlib.contextmanager
def _storage_errors(address: str) -> Iterator[None]:
    """Convert what fsspec and the libraries under it raise: each has exceptions of its own."""
    try:
        yield
    except S2SError:
        raise
    except ImportError as error:
        raise ResourceError(f"{address}: {error}") from error
    except Exception as error:
        raise ResourceError(f"{address}: {str(error) or type(error).__name__}", CHECK) from error
