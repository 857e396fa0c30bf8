"""Verify a registry: every version's file and card, every blob against its digest, every alias."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from s2s.errors import S2SError, UsageError
from s2s.registry.reference import Reference
from s2s.registry.store import Registry
from s2s.registry.version import Version


@dataclass(frozen=True, slots=True)
class Verified:
    """One thing that was verified."""

    name: str  # file, version or alias
    users: list[str]  # references of the versions that use a file
    size: int = 0  # bytes that were read
    problem: str = ""  # empty if it is whole


def verify(registry: Registry, names: list[str]) -> Iterator[Verified]:
    """Verify all versions of some models: first what describes them, then each distinct file once.

    Aliases must point to versions that exist. Raises: UsageError if there is no such model, or one is a reference.
    """
    versions: list[Version] = []
    for name in names:
        if (wanted := Reference.parse(name)) != Reference(name):
            raise UsageError(f"{name}: all versions of a model are verified", f"s2s models verify {wanted.name}")
        if not registry.numbers(name):
            registry.resolve(name)  # raises
        for number in registry.numbers(name):
            reference = f"{name}:{number}"
            try:
                versions.append(registry.resolve(reference))
            except S2SError as error:
                yield Verified(reference, [reference], problem=error.message)
        for alias in registry.alias_names(name):
            try:
                registry.resolve(str(Reference(name, alias=alias)))
            except S2SError as error:
                yield Verified(f"{name}@{alias}", [], problem=error.message)
    users = defaultdict(list)
    for version in versions:
        for name, file in version.files.items():
            users[file.digest].append((version, name))
    for uses in users.values():
        version, name = uses[0]
        problem = ""
        try:
            version.path(name)
        except S2SError as error:
            problem = error.message
        yield Verified(name, [one.reference for one, _ in uses], version.file(name).size, problem)
