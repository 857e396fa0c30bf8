"""Aliases: names of a model's versions that can move, with a history of every move.

    aliases/best            a version number, replaced atomically
    history/best.jsonl      who moved the alias, when, from, to and why; only ever appended to

A move holds the lock of the history while it appends a line and replaces the number, in this order: whoever is killed
in between leaves a line too many, never a move without one.
"""

import contextlib
import fcntl
import json
import logging
import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from s2s.errors import ArtefactError, S2SError, UsageError, did_you_mean
from s2s.io.atomic import make_directory, write_bytes
from s2s.io.json_values import parse_json, read_regular, validate
from s2s.io.locks import open_lock
from s2s.io.paths import safe_join
from s2s.io.processes import user_name
from s2s.recipe.options import Options
from s2s.recipe.recipe import is_name
from s2s.registry.version import now

log = logging.getLogger(__name__)


class AliasMove(Options):
    """One line of an alias's history; a version is None where the alias did not exist."""

    time: str = Field(description="when, ISO 8601")
    user: str
    before: int | None = Field(None, description="version before", ge=1)
    after: int | None = Field(None, description="version after", ge=1)
    why: str = ""
    rollback: bool = Field(False, description="whether the move is a rollback")


@dataclass(frozen=True, slots=True)
class Aliases:
    """The aliases of one model."""

    directory: Path  # of the model

    def names(self) -> list[str]:
        """Return the names of the aliases, sorted; those that cannot be read included."""
        return sorted(path.name for path in (self.directory / "aliases").glob("*") if is_name(path.name))

    def numbers(self) -> dict[str, int]:
        """Return the aliases with their version numbers; skip those that cannot be read, with a warning."""
        found = {}
        for name in self.names():
            try:
                found[name] = _read_number(self._file(name))
            except S2SError as error:
                log.warning("%s@%s is skipped: %s", self.directory.name, name, error.message)
        return found

    def number(self, alias: str) -> int:
        """Return the version number of an alias.

        Raises: UsageError, with the nearest names, if there is no such alias; ArtefactError if it is damaged.
        """
        path, name = self._file(alias), self.directory.name
        if not os.path.lexists(path):
            hint = did_you_mean(alias, list(self.numbers())) or f"s2s models alias {name} {alias} creates it"
            raise UsageError(f"model {name} has no alias {alias}", hint)
        return _read_number(path)

    def move(self, alias: str, number: int | None, *, why: str = "", rollback: bool = False) -> AliasMove:
        """Point an alias at a version, or remove it, and append the move to its history."""
        with self._locked_history(alias) as handle:
            move = AliasMove(
                time=now(), user=user_name(), before=self._known(alias), after=number, why=why, rollback=rollback
            )
            _append(handle, json.dumps(move.model_dump(exclude_defaults=True), ensure_ascii=False))
            if number is None:
                self._file(alias).unlink(missing_ok=True)
            else:
                write_bytes(self._file(alias), f"{number}\n".encode())
        return move

    def history(self, alias: str) -> list[AliasMove]:
        """Return the moves of an alias, oldest first; skip lines that cannot be read, with a warning."""
        path, name = self._history(alias), f"history of {self.directory.name}@{alias}"
        if not path.exists():
            return []
        moves = []
        for number, line in enumerate(read_regular(path, name).splitlines(), 1):
            where = f"{name}, line {number}"
            try:
                moves.append(validate(AliasMove, parse_json(line, where), where))
            except ArtefactError as error:
                log.warning("skipped: %s", error.message)
        return moves

    def moved(self) -> list[str]:
        """Return the names of aliases that have a history, sorted."""
        names = [path.stem for path in (self.directory / "history").glob("*.jsonl")]
        return sorted(name for name in names if is_name(name))

    def previous(self, alias: str, numbers: Container[int]) -> int:
        """Return the version that an alias pointed to before its current one, among the `numbers` that still exist.

        Moves that were rolled back are ignored, so rolling back twice goes back two moves.
        Raises: UsageError if there is none.
        """
        current, stack = self.number(alias), _standing(self.history(alias))
        while stack and stack[-1] != current:
            stack.pop()
        for number in reversed(stack):
            if number != current and number in numbers:
                return number
        name = f"{self.directory.name}@{alias}"
        raise UsageError(f"{name} has pointed to no other version that still exists", f"see s2s models history {name}")

    def _file(self, alias: str) -> Path:
        return safe_join(self.directory, "aliases", alias)

    def _history(self, alias: str) -> Path:
        return safe_join(self.directory, "history", f"{alias}.jsonl")

    def _known(self, alias: str) -> int | None:
        """Return the version number of an alias; None if it does not exist or is damaged."""
        with contextlib.suppress(S2SError):
            return self.number(alias)
        return None

    @contextlib.contextmanager
    def _locked_history(self, alias: str) -> Iterator[int]:
        """Yield the open history of an alias, which no other process moves meanwhile."""
        path = self._history(alias)
        make_directory(path.parent)
        handle = open_lock(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)


def _standing(moves: Iterable[AliasMove]) -> list[int]:
    """Return the versions that an alias has pointed to, oldest first, without those that rollbacks took back."""
    stack: list[int] = []
    for move in moves:
        if move.rollback and move.after in stack:
            while stack[-1] != move.after:
                stack.pop()
            continue
        for number in (move.before, move.after):
            if number and stack[-1:] != [number]:
                stack.append(number)
    return stack


def _append(handle: int, line: str) -> None:
    """Append a line to an open file, durably; end a line that somebody killed has begun."""
    size = os.lseek(handle, 0, os.SEEK_END)
    torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    os.write(handle, b"\n" * torn + f"{line}\n".encode())
    os.fsync(handle)


def _read_number(path: Path) -> int:
    """Read an alias. Raises ArtefactError if it is damaged."""
    content = read_regular(path, f"alias {path}")
    if not re.fullmatch(rb"[1-9][0-9]{0,17}\n?", content):
        raise ArtefactError(f"alias {path} is damaged: not a version number", "s2s models alias sets it again")
    return int(content)
