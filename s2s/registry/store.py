"""The registry: versions of models in a directory that processes, users and machines share without locks.

    blobs/sha256/ab/ab12…            immutable files, stored once however many versions use them
    models/NAME/3.json               one version: its files and its card. Written last: it exists = published
    models/NAME/aliases, history     see `registry/aliases.py`

A version number is claimed by linking a finished file to its name, which fails if the name exists. The file of a
removed version becomes a tombstone, so that a number never gets another meaning.
"""

import contextlib
import errno
import logging
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self
from uuid import uuid4

from s2s.errors import ArtefactError, ResourceError, S2SError, UsageError, did_you_mean, wrap_os_errors
from s2s.io.atomic import sync_directory, write_bytes, write_json
from s2s.io.json_values import read_json
from s2s.io.paths import real_directories, real_files, registry_directory, safe_join
from s2s.recipe.recipe import is_name
from s2s.registry.aliases import Aliases, AliasMove
from s2s.registry.blobs import UNFINISHED, Blobs, StoredFile, discard_all, discardable
from s2s.registry.card import Card
from s2s.registry.reference import Reference
from s2s.registry.version import Version, VersionRecord, removal_day, tombstone, version_numbers

log = logging.getLogger(__name__)

GRACE_SECONDS = 24 * 60 * 60.0  # `gc` spares younger files: a publisher may be about to use them
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
MAX_NUMBER = 10**18  # of a version
NAME_RULE = "use up to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit"


@dataclass(frozen=True, slots=True)
class Registry:
    """Registry in a directory, which is created when the first model is published."""

    root: Path

    @classmethod
    def default(cls) -> Self:
        """Return the registry in `S2S_REGISTRY`, or in the s2s home directory."""
        return cls(registry_directory())

    @property
    def blobs(self) -> Blobs:
        """Contents of the files of all versions."""
        return Blobs(self.root / "blobs")

    def names(self) -> list[str]:
        """Return the names of models that have a version, sorted; those that cannot be read included."""
        return sorted(name for name in self._all_names() if self._has_versions(name))

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of a model's versions in ascending order, including damaged but not removed ones."""
        return [n for n in self._claimed(name) if not self._is_claim(name, n) and not self._removed(name, n)]

    def versions(self, name: str) -> list[Version]:
        """Return a model's versions, oldest first. Raises ArtefactError, ResourceError if one cannot be read."""
        found = []
        for number in self.numbers(name):
            with contextlib.suppress(UsageError):  # removed meanwhile
                found.append(self._read(name, number))
        return found

    def readable_versions(self, name: str) -> list[Version]:
        """Return a model's versions, oldest first; skip those that cannot be read, with a warning."""
        found = []
        for number in self.numbers(name):
            with _skipping(f"{name}:{number}"):
                found.append(self._read(name, number))
        return found

    def published_with(self, name: str, key: str) -> list[Version]:
        """Return the readable versions of a model whose training had a key, oldest first."""
        return [version for version in self.readable_versions(name) if version.card.training.key == key]

    def best_version(self, name: str) -> Version | None:
        """Return the version with the best first score, among those with the newest one's metric and test set.

        Of equal ones, the newest; None if there are no scores.
        """
        scored = [version for version in self.readable_versions(name) if version.card.scores]
        if not scored:
            return None
        comparable = [version for version in reversed(scored) if _scored_as(version) == _scored_as(scored[-1])]
        return max(comparable, key=lambda version: version.card.scores[0].value)

    def aliases(self, name: str) -> dict[str, int]:
        """Return a model's aliases with their version numbers; skip those that cannot be read."""
        return self._aliases(name).numbers()

    def alias_names(self, name: str) -> list[str]:
        """Return the names of a model's aliases, sorted; those that cannot be read included."""
        return self._aliases(name).names()

    def resolve(self, reference: str) -> Version:
        """Return the version that `name` (the newest), `name:3` or `name@alias` refers to.

        Raises: UsageError, with the nearest names, if there is none or it was removed; ArtefactError if it is damaged.
        """
        return self._read(*self._find(Reference.parse(reference)))

    def copy_of(self, name: str, files: Mapping[str, StoredFile], card: Card) -> Version | None:
        """Return the newest readable version of a model that has the same files and card, or None."""
        versions = reversed(self.readable_versions(name))
        return next((one for one in versions if one.files == files and one.card == card), None)

    def publish(self, name: str, files: Mapping[str, Path], card: Card, number: int | None = None) -> Version:
        """Publish copies of files with a card as a model's next version; other processes may do so at the same time.

        It gets `number` if that was never taken, otherwise the number after the highest.
        Raises: UsageError if the name is invalid, ResourceError if the registry cannot be written.
        """
        if not is_name(name):
            raise UsageError(f"{name}: not a valid model name", NAME_RULE)
        with self._writing():
            stored = {file: self.blobs.store(path) for file, path in files.items()}
            number = self._claim(name, VersionRecord.now(stored, card), number)
            for file, path in files.items():
                self.blobs.restore(path, stored[file])
        return self._read(name, number)

    def check_writable(self, name: str) -> None:
        """Raise ResourceError if a model cannot be published, before time is spent on training it."""
        own = self._directory(name)
        probe = (own if own.exists() else self._models) / f".{uuid4().hex}.tmp"
        with self._writing():
            write_bytes(probe, b"")
            probe.unlink()

    def set_alias(self, reference: str, alias: str, *, why: str = "") -> Version:
        """Point an alias at the version that `reference` resolves to now. Raises UsageError if either is invalid."""
        if not is_name(alias):
            raise UsageError(f"{alias}: not a valid alias name", NAME_RULE)
        version = self.resolve(reference)
        with self._writing():
            self._aliases(version.name).move(alias, version.number, why=why)
        return version

    def roll_back(self, reference: str, *, why: str = "") -> Version:
        """Point the alias `name@alias` at the version that it pointed to before, of those that still exist.

        Raises: UsageError if `reference` names no alias, or if there is no such version.
        """
        name, alias = self._named_alias(reference)
        aliases = self._aliases(name)
        number = aliases.previous(alias, self.numbers(name))
        with self._writing():
            aliases.move(alias, number, why=why, rollback=True)
        return self._read(name, number)

    def history(self, reference: str) -> dict[str, list[AliasMove]]:
        """Return the moves, oldest first, of the alias `name@alias` or of all aliases of `name`.

        Raises: UsageError if `reference` names a version, or if there is no such model or alias.
        """
        wanted = Reference.parse(reference)
        if not self._claimed(wanted.name):
            raise self._unknown(wanted.name)
        aliases = self._aliases(wanted.name)
        if wanted.version:
            raise UsageError(f"{reference}: versions have no history", f"s2s models history {wanted.name}")
        if wanted.alias and wanted.alias not in aliases.moved():
            aliases.number(wanted.alias)  # set by hand or by an earlier s2s; raises if there is none
        names = [wanted.alias] if wanted.alias else aliases.moved()
        return {alias: aliases.history(alias) for alias in names}

    def remove(self, reference: str, *, force: bool = False, dry_run: bool = False) -> str:
        """Remove a version, damaged or not, and return its `name:3`; `force` also removes aliases that point to it.

        With `dry_run`, nothing is removed.
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
        if dry_run:
            return f"{name}:{number}"
        with self._writing():
            for alias in aliases:
                self._aliases(name).move(alias, None, why=f"version {number} removed")
            write_json(self._file(name, number), tombstone())
        return f"{name}:{number}"

    def gc(self, grace_seconds: float = GRACE_SECONDS, *, dry_run: bool = False) -> int:
        """Delete blobs that no version uses and unfinished files, and return the bytes freed.

        Files touched within the grace period are spared. With `dry_run`, nothing is deleted.
        Raises: ArtefactError or ResourceError, before deleting anything, if a version cannot be read: its blobs are not
        known then.
        """
        before = time.time() - grace_seconds
        for path in self._models.glob("*"):
            if path.is_symlink():
                raise ArtefactError(f"{path} is a symbolic link: what its versions use is not known", "remove the link")
        versions = [version for name in self._all_names() for version in self.versions(name)]
        used = {file.digest for version in versions for file in version.files.values()}
        found = [*self.blobs.unused(used), *self._unfinished()]
        if dry_run:
            return discardable(found, before)
        with self._writing():
            return discard_all(found, before)

    def own_bytes(self, version: Version) -> int:
        """Return the bytes of a version's files that no other version uses.

        Raises: ArtefactError or ResourceError if another version cannot be read.
        """
        others = (other for name in self._all_names() for other in self.versions(name))
        shared = {
            file.digest for other in others if other.reference != version.reference for file in other.files.values()
        }
        own = {file.digest: file.size for file in version.files.values() if file.digest not in shared}
        return sum(own.values())

    @property
    def _models(self) -> Path:
        return self.root / "models"

    def _directory(self, name: str) -> Path:
        return safe_join(self._models, name)

    def _aliases(self, name: str) -> Aliases:
        return Aliases(self._directory(name))

    def _named_alias(self, reference: str) -> tuple[str, str]:
        """Return name and alias of `name@alias`. Raises UsageError if it is something else."""
        wanted = Reference.parse(reference)
        if not wanted.alias:
            raise UsageError(f"{reference}: expected NAME@ALIAS", f"such as {wanted.name}@best")
        return wanted.name, wanted.alias

    def _file(self, name: str, number: int) -> Path:
        return self._directory(name) / f"{number}.json"

    def _all_names(self) -> list[str]:
        """Return the names of models that ever had a version."""
        with _reading(self._models):
            return [path.name for path in real_directories(self._models) if is_name(path.name)]

    def _unfinished(self) -> Iterator[Path]:
        """Yield the files of versions and aliases that a writer left behind."""
        models = [self._models / name for name in self._all_names()]
        for directory in (self._models, *models, *(model / "aliases" for model in models)):
            if not directory.is_symlink() or directory == self._models:
                yield from (path for path in real_files(directory) if re.fullmatch(UNFINISHED, path.name))

    def _claimed(self, name: str) -> list[int]:
        """Return the version numbers in use: published, removed, or about to be published."""
        with _reading(self._directory(name)):
            directory = self._directory(name)
            entries = [path.name for path in directory.iterdir()] if directory.exists() else []
        return version_numbers(entries)

    def _is_claim(self, name: str, number: int) -> bool:
        """Return whether a version's file is empty, a claim without links, or no file at all."""
        status = self._file(name, number).lstat()
        return not status.st_size or not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode))

    def _has_versions(self, name: str) -> bool:
        try:
            return bool(self.numbers(name))
        except S2SError:
            return True

    def _removed(self, name: str, number: int) -> str | None:
        """Return the day on which a version was removed, or None."""
        try:
            return removal_day(read_json(self._file(name, number)))
        except S2SError:  # damaged or private, but not removed
            return None

    def _read(self, name: str, number: int) -> Version:
        """Read a version. Raises ArtefactError if it is damaged, UsageError if it was removed meanwhile."""
        values = read_json(self._file(name, number), f"model {name}:{number}")
        if day := removal_day(values):
            raise UsageError(f"model {name}:{number} was removed on {day}", f"s2s models show {name} shows the newest")
        record = VersionRecord.parse(values, f"{name}:{number}")
        return Version(name, number, record.published, record.files, record.card, self.blobs)

    def _find(self, wanted: Reference) -> tuple[str, int]:
        """Return name and number of the version that a reference refers to."""
        name, numbers = wanted.name, self.numbers(wanted.name)
        if not self._claimed(name):
            raise self._unknown(name)
        if not numbers:
            raise UsageError(f"model {name}: all versions were removed", "s2s models list lists the models")
        number = self._aliases(name).number(wanted.alias) if wanted.alias else wanted.version or numbers[-1]
        if number not in numbers:
            raise self._absent(wanted, number, numbers)
        return name, number

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

    def _claim(self, name: str, record: VersionRecord, wanted: int | None) -> int:
        """Give a version's file the wanted or the next free number; other processes see it complete or not at all."""
        finished = self._directory(name) / f".{uuid4().hex}.tmp"
        write_json(finished, record.as_dict())
        try:
            following = range(max(self._claimed(name), default=0) + 1, MAX_NUMBER)
            numbers = chain([wanted] if wanted else [], following)
            number = next((number for number in numbers if claim(finished, self._file(name, number))), None)
            if number is None:
                raise ArtefactError(f"model {name}: no version number is left below {MAX_NUMBER}")
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


@contextlib.contextmanager
def _skipping(reference: str) -> Iterator[None]:
    """Log an error of the block as a warning instead of raising it."""
    try:
        yield
    except S2SError as error:
        log.warning("%s is skipped: %s", reference, error.message)


@contextlib.contextmanager
def _reading(directory: Path) -> Iterator[None]:
    """Add a hint to errors about a registry that cannot be read."""
    try:
        yield
    except OSError as error:
        hint = "S2S_REGISTRY sets the registry's directory"
        raise ResourceError(f"cannot read {directory}: {error.strerror}", hint) from error


def _scored_as(version: Version) -> tuple[str, str, str]:
    """Return what makes the first scores of two versions comparable."""
    score = version.card.scores[0]
    return score.metric, score.signature, version.card.test_digest
