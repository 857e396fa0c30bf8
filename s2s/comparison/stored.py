"""Cells: what a comparison keeps of one system on one test set, so that a later one need not train or translate
again.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from s2s.errors import ArtefactError
from s2s.io.atomic import read_json, write_json
from s2s.io.digests import digest_json
from s2s.io.schema import check_schema
from s2s.metrics.scores import Score

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One system on one test set: what it is, how it was trained and decoded, its outputs and scores.

    seconds: of training; tokens_per_second: target tokens, in training; test: digest of the test set's sentences;
    right_values: where the test asks for values, how many of each line are right in forced decoding.
    """

    name: str
    network: str
    recipe: dict[str, Any]
    recipe_digest: str
    parameters: int
    updates: int
    seconds: float
    tokens_per_second: float
    decoding: str
    test: str
    outputs: list[str]
    scores: dict[str, Score]
    perplexity: float
    versions: dict[str, str]
    machine: dict[str, Any]
    right_values: list[int] = field(default_factory=list)
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a stored result. Raises ArtefactError if it is damaged or has another schema."""
        values = read_json(path)
        if not isinstance(values, dict) or "schema" not in values:
            raise ArtefactError(f"{path} is not a stored comparison result")
        check_schema(values, SCHEMA, str(path), "compare anew")
        try:
            scores = {name: Score(**score) for name, score in values.pop("scores").items()}
            return cls(**values, scores=scores)
        except (KeyError, TypeError) as error:
            raise ArtefactError(f"{path} is not a stored comparison result: {error}") from error

    def write(self, directory: Path) -> Path:
        """Write the result into a directory, under its name."""
        path = directory / f"{self.name}.json"
        write_json(path, asdict(self))
        return path


def test_digest(sources: list[str], references: list[str]) -> str:
    """What makes two test sets the same: their sentences."""
    return digest_json([sources, references])
