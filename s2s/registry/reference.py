"""References: how a model of the registry is named: `name`, `name:3` or `name@best`."""

import re
from dataclasses import dataclass
from typing import Self

from s2s.errors import UsageError
from s2s.recipe.options import NAME_PATTERN

PATTERN = re.compile(rf"(?P<name>{NAME_PATTERN})(?::(?P<version>[1-9][0-9]{{0,17}})|@(?P<alias>{NAME_PATTERN}))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model's name with a version's number, with an alias, or alone (its newest version)."""

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference. Raises UsageError if it is malformed."""
        found = PATTERN.fullmatch(text)
        if not found:
            hint = (
                f"is it a recipe? s2s train {text} makes a model of it"
                if "/" in text
                else "s2s models list shows the models"
            )
            raise UsageError(f"model {text}: expected NAME, NAME:VERSION or NAME@ALIAS", hint)
        version = found["version"]
        return cls(found["name"], int(version) if version else None, found["alias"])

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return f"{self.name}@{self.alias}" if self.alias else self.name
