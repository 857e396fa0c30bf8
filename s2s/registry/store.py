"""The registry: versions of models in a directory that processes, users and machines share without locks.

    blobs/sha256/ab/ab12…            immutable files, stored once however many versions use them
    models/NAME/3.json               one version: its files and its card. Written last: it exists = published
    models/NAME/aliases/best         a version number, replaced atomically

A version number is claimed by linking a finished file to its name, which fails if the name exists. The file of a
removed version becomes a tombstone, so that a number never gets another meaning.
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from s2s.errors import ArtefactError, ResourceError, UsageError, did_you_mean, wrap_os_errors
from s2s.io.atomic import read_json, sync_directory, write_bytes, write_json
from s2s.io.paths import home_dir, safe_join
from s2s.recipe.recipe import is_name
from s2s.registry.blobs import Blobs, discard
from s2s.registry.card import Card
from s2s.registry.reference import Reference
from s2s.registry.version import Version, VersionRecord, tombstone

GRACE_SECONDS = 24 * 60 * 60.0  # `gc` spares younger files: a publisher may be about to use them
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
NAME_RULE = "use up to 64 lowercase letters, digits, '.', '_' and '-'"


@dataclass(frozen=True, slots=True)
class Registry:
    """Registry in a directory, which is created when the first model is published."""

    root: Path

    @classmethod
    def default(cls) -> Self:
        """Return the registry in `S2S_REGISTRY`, or in the s2s home directory."""
        directory = os.environ.get("S2S_REGISTRY")
        return cls(Path(directory).expanduser().absolute() if directory else home_dir() / "registry")

    @property
    def blobs(self) -> Blobs:
        """Contents of the files of all versions."""
        return Blobs(self.root / "blobs")

    def names(self) -> list[str]:
        """Return the names of models that have a version, sorted."""
        return sorted(name for name in self._all_names() if self.numbers(name))

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of a model's versions in ascending order, including damaged but not removed ones."""
        return [n for n in self._claimed(name) if self._file(name, n).stat().st_size and not self._removed(name, n)]

    def versions(self, name: str) -> list[Version]:
        """Return a model's versions, oldest first. Raises ArtefactError if one is damaged."""
        return [self._read(name, number) for number in self.numbers(name)]

    def aliases(self, name: str) -> dict[str, int]:
        """Return a model's aliases with their version numbers."""
        directory = self._directory(name) / "aliases"
        return {alias: _alias_number(directory / alias) for alias in sorted(_entries(directory)) if is_name(alias)}

    def resolve(self, reference: str) -> Version:
        """Return the version that `name` (the newest), `name:3` or `name@alias` refers to.

        Raises: UsageError, with the nearest names, if there is none or it was removed; ArtefactError if it is damaged.
        """
        return self._read(*self._find(Reference.parse(reference)))

    def publish(self, name: str, files: Mapping[str, Path], card: Card) -> Version:
        """Publish copies of files with a card as a model's next version; other processes may do so at the same time.

        Raises: UsageError if the name is invalid, ResourceError if the registry cannot be written.
        """
        if not is_name(name):
            raise UsageError(f"{name}: not a valid model name", NAME_RULE)
        with self._writing():
            stored = {file: self.blobs.store(path) for file, path in files.items()}
            number = self._claim(name, VersionRecord.now(stored, card))
            for file, path in files.items():
                self.blobs.restore(path, stored[file])
        return self._read(name, number)

    def check_writable(self) -> None:
        """Raise ResourceError if the registry cannot be written, before time is spent on training a model."""
        probe = self.root / "models" / f".{uuid4().hex}.tmp"
        with self._writing():
            write_bytes(probe, b"")
            probe.unlink()

    def set_alias(self, reference: str, alias: str) -> Version:
        """Point an alias at the version that `reference` resolves to now. Raises UsageError if either is invalid."""
        if not is_name(alias):
            raise UsageError(f"{alias}: not a valid alias name", NAME_RULE)
        version = self.resolve(reference)
        with self._writing():
            write_bytes(self._directory(version.name) / "aliases" / alias, f"{version.number}\n".encode())
        return version

    def remove(self, reference: str, *, force: bool = False) -> str:
        """Remove a version, damaged or not, and return its `name:3`; `force` also removes aliases that point to it.

        Raises: UsageError if there is no such version, if a name without number has several, or if aliases point to it.
        """
        wanted = Reference.parse(reference)
        name, number = self._find(wanted)
        if wanted == Reference(name) and len(self.numbers(name)) > 1:
            raise UsageError(
                f"model {name} has {len(self.numbers(name))} versions", f"name one: s2s models rm {name}:{number}"
            )
        aliases = [alias for alias, meant in self.aliases(name).items() if meant == number]
        if aliases and not force:
            names = ", ".join(f"{name}@{alias}" for alias in aliases)
            raise UsageError(f"model {name}:{number} is used by {names}", "move the alias, or add --force to remove it")
        with self._writing():
            for alias in aliases:
                (self._directory(name) / "aliases" / alias).unlink(missing_ok=True)
            write_json(self._file(name, number), tombstone())
        return f"{name}:{number}"

    def gc(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Delete blobs that no version uses and unfinished files, and return the bytes freed.

        Files touched within the grace period are spared.
        Raises: ArtefactError, before deleting anything, if a version cannot be read: its blobs are not known then.
        """
        before = time.time() - grace_seconds
        versions = [version for name in self._all_names() for version in self.versions(name)]
        used = {file.digest for version in versions for file in version.files.values()}
        with self._writing():
            left = [
                path for pattern in (".*.tmp", "*/.*.tmp", "*/aliases/.*.tmp") for path in self._models.glob(pattern)
            ]
            return self.blobs.sweep(used, before) + sum(discard(path, before) for path in left)

    @property
    def _models(self) -> Path:
        return self.root / "models"

    def _directory(self, name: str) -> Path:
        return safe_join(self.root, "models", name)

    def _file(self, name: str, number: int) -> Path:
        return self._directory(name) / f"{number}.json"

    def _all_names(self) -> list[str]:
        """Return the names of models that ever had a version."""
        return [name for name in _entries(self._models) if is_name(name)]

    def _claimed(self, name: str) -> list[int]:
        """Return the version numbers in use: published, removed, or about to be published."""
        found = [re.fullmatch(r"([1-9][0-9]{0,8})\.json", entry) for entry in _entries(self._directory(name))]
        return sorted(int(match[1]) for match in found if match)

    def _removed(self, name: str, number: int) -> str | None:
        """Return the day on which a version was removed, or None."""
        try:
            values = read_json(self._file(name, number))
        except ArtefactError:  # damaged, but not removed
            return None
        return str(values["removed"])[:10] if isinstance(values, dict) and "removed" in values else None

    def _read(self, name: str, number: int) -> Version:
        record = VersionRecord.parse(read_json(self._file(name, number)), f"{name}:{number}")
        return Version(name, number, record.published, record.files, record.card, self.blobs)

    def _find(self, wanted: Reference) -> tuple[str, int]:
        """Return name and number of the version that a reference refers to."""
        name, numbers = wanted.name, self.numbers(wanted.name)
        if not self._claimed(name):
            raise self._unknown(name)
        if not numbers:
            raise UsageError(f"model {name}: all versions were removed", "s2s models list lists the models")
        number = self._aliased(name, wanted.alias) if wanted.alias else wanted.version or numbers[-1]
        if number not in numbers:
            raise self._absent(wanted, number, numbers)
        return name, number

    def _aliased(self, name: str, alias: str) -> int:
        aliases = self.aliases(name)
        if alias not in aliases:
            hint = did_you_mean(alias, list(aliases)) or f"s2s models alias {name} {alias} creates it"
            raise UsageError(f"model {name} has no alias {alias}", hint)
        return aliases[alias]

    def _unknown(self, name: str) -> UsageError:
        names = self.names()
        hint = did_you_mean(name, names) or "s2s models list lists the models"
        return UsageError(
            f"model {name}: no such model", hint if names else "the registry is empty: s2s train numbers/attention"
        )

    def _absent(self, wanted: Reference, number: int, numbers: list[int]) -> UsageError:
        hint = f"versions of {wanted.name}: {', '.join(map(str, numbers))}"
        what = f"model {wanted}" + (f" points to version {number}, which" if wanted.alias else "")
        if number not in self._claimed(wanted.name):
            return UsageError(f"{what} does not exist", hint)
        day = self._removed(wanted.name, number)
        return UsageError(f"{what} was removed on {day}" if day else f"{what} is not published yet", hint)

    def _claim(self, name: str, record: VersionRecord) -> int:
        """Give a version's file the next free number; other processes see it complete or not at all."""
        finished = self._directory(name) / f".{uuid4().hex}.tmp"
        write_json(finished, record.as_dict())
        try:
            number = max(self._claimed(name), default=0) + 1
            while not claim(finished, self._file(name, number)):
                number += 1
        finally:
            finished.unlink(missing_ok=True)
        sync_directory(self._directory(name))
        return number

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Add a hint to errors about a registry that cannot be written."""
        try:
            with wrap_os_errors(self.root, "write"):
                yield
        except (ResourceError, UsageError) as error:
            hint = "set S2S_REGISTRY to a writable directory with free space"
            raise ResourceError(error.message, hint) from error


def claim(finished: Path, target: Path) -> bool:
    """Link a finished file to `target`; return False if that exists."""
    try:
        os.link(finished, target)
    except FileExistsError:
        return finished.stat().st_nlink == 2  # a network file system may have linked it and lost the reply
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _claim_without_links(finished, target)
    return True


def _claim_without_links(finished: Path, target: Path) -> bool:
    """Claim with an empty file, which readers treat as not published yet, then replace it."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    finished.replace(target)
    return True


def _alias_number(path: Path) -> int:
    with wrap_os_errors(path, "read"):
        content = path.read_bytes()[:32]
    if not re.fullmatch(rb"[1-9][0-9]{0,8}\n?", content):
        raise ArtefactError(f"alias {path} is damaged: not a version number", "s2s models alias sets it again")
    return int(content)


def _entries(directory: Path) -> list[str]:
    """Return the names in a directory; none if it does not exist."""
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResourceError(
            f"cannot read {directory}: {error.strerror}", "S2S_REGISTRY sets the registry's directory"
        ) from error
