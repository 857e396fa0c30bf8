"""Versions of models: immutable once published, each described by one JSON file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from s2s.errors import ArtefactError
from s2s.io.json_values import parse_json, validate
from s2s.io.schema import check_schema
from s2s.recipe.load import parse_stored_recipe
from s2s.recipe.options import Options
from s2s.recipe.recipe import Recipe
from s2s.registry.blobs import Blobs, StoredFile
from s2s.registry.card import SCHEMA as CARD_SCHEMA
from s2s.registry.card import Card

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "weights.safetensors"
SCHEMA = 2  # number of the schema of a version's file

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class VersionRecord(Options):
    """Content of a version's file; the version's name and number are those of the file."""

    schema_version: int = Field(SCHEMA, alias="schema", ge=1, le=SCHEMA, description="number of the file's schema")
    published: str = Field(description="when, ISO 8601")
    files: dict[FileName, StoredFile]
    card: Card

    @classmethod
    def now(cls, files: dict[str, StoredFile], card: Card) -> "VersionRecord":
        """Create the record of a version that is published now."""
        return cls(published=now(), files=files, card=card)

    @classmethod
    def parse(cls, values: Any, reference: str) -> "VersionRecord":
        """Parse a version's file. Raises ArtefactError if it is damaged or has another schema."""
        card = values.get("card") if isinstance(values, dict) else None
        check_schema(values, SCHEMA, f"model {reference}")
        check_schema(card, CARD_SCHEMA, f"card of model {reference}")
        return validate(cls, values, f"model {reference}", f"s2s models rm {reference} removes it")

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True, slots=True)
class Version:
    """A published version of a model."""

    name: str
    number: int
    published: str  # ISO 8601
    files: Mapping[str, StoredFile]  # by file name
    card: Card
    blobs: Blobs

    @property
    def reference(self) -> str:
        """Reference `name:3` of this version."""
        return f"{self.name}:{self.number}"

    def path(self, file: str) -> Path:
        """Return the path of a file after verifying its digest. Raises ArtefactError if it is missing or damaged."""
        return self.blobs.verified(self.file(file), f"model {self.reference}: {file}")

    def read(self, file: str) -> bytes:
        """Read a small file and verify its digest. Raises ArtefactError if it is missing or damaged."""
        return self.blobs.read(self.file(file), f"model {self.reference}: {file}")

    def recipe(self) -> Recipe:
        """Return the recipe that the version was trained with. Raises ArtefactError if it is damaged."""
        where = f"recipe of {self.reference}"
        return parse_stored_recipe(parse_json(self.read("recipe.json"), where), where)

    def weights(self) -> "dict[str, Tensor]":
        """Return the weights, mapped from their file.

        Raises: ArtefactError if they are damaged, not finite, or do not fit the recipe.
        """
        from s2s.models.profile import meta_model
        from s2s.models.weights import read_weights
        from s2s.text.tokenizer import Tokenizer

        network = meta_model(self.recipe(), Tokenizer(self.read("tokenizer.model")).size)
        where, path = f"model {self.reference}", self.path(WEIGHTS)
        try:
            return read_weights(path, network, where)
        except ValueError as error:
            raise ArtefactError(f"{where}: weights and recipe do not fit together: {error}") from error

    def record(self) -> VersionRecord:
        """Return the content of the version's file."""
        return VersionRecord(published=self.published, files=dict(self.files), card=self.card)

    def file(self, name: str) -> StoredFile:
        """Return the digest and size of a file. Raises ArtefactError if the version has no such file."""
        if name not in self.files:
            raise ArtefactError(f"model {self.reference} is damaged: it has no {name}", "train the model anew")
        return self.files[name]


def version_numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers, in ascending order, of the files among `names` that are those of versions: 3 of `3.json`."""
    found = [re.fullmatch(r"([1-9][0-9]{0,17})\.json", name) for name in names]
    return sorted(int(match[1]) for match in found if match)


def tombstone() -> dict[str, Any]:
    """Return the content of a removed version's file."""
    return {"schema": SCHEMA, "removed": now()}


def removal_day(values: Any) -> str | None:
    """Return the day from the content of a removed version's file; None if the version was not removed."""
    return str(values["removed"])[:10] if isinstance(values, dict) and "removed" in values else None


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
