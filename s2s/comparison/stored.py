"""Stored results of one system on one test set, so that a later comparison need not train or translate again."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict

from s2s.devices.runtime import Machine
from s2s.errors import ArtefactError
from s2s.io.atomic import write_json
from s2s.io.json_values import read_json, validate
from s2s.io.schema import check_schema
from s2s.metrics.scenes import Pointing
from s2s.metrics.scores import TEXT_SCORES, Score
from s2s.report.format import counted

SCHEMA = 5


@dataclass(frozen=True, slots=True)
class StoredResult:
    """Result of one system on one test set."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    network: str
    recipe: dict[str, Any]
    recipe_digest: str
    tokenizer: str  # digest of its model
    parameters: int
    updates: int
    seconds: float  # of training
    tokens_per_second: float  # target tokens, in training
    decoding: str
    test: str  # digest of the test set's sentences
    outputs: list[str]
    scores: dict[str, Score]
    perplexity: float
    versions: dict[str, str]  # of the code that trained the system, with its commit if known
    machine: Machine  # that trained the system
    command: str  # that repeats this result
    bits_per_byte: float | None = None  # of the references, teacher-forced; None in results that lack it
    correct_values: list[int] = field(default_factory=list)  # recall only: correct values per line, forced decoding
    pointing: list[Pointing] = field(default_factory=list)  # scenes only: where attention was at shape words, per line
    schema: int = SCHEMA

    @property
    def code(self) -> str:
        """Version and commit that trained the system: `s2s 0.1.0 (1a2b3c4d5e6f)`."""
        commit = self.versions.get("commit")
        return f"s2s {self.versions.get('s2s', '?')}" + (f" ({commit})" if commit else "")

    def describe_machine(self) -> str:
        """Return the machine that trained the system: `Linux x86_64 (avx2, avx512f), 2 threads`."""
        return f"{self.machine.describe()}, {counted(self.machine.threads, 'thread')}"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a stored result. Raises ArtefactError if it is damaged or has another schema."""
        values = read_json(path)
        if not isinstance(values, dict) or "schema" not in values:
            raise ArtefactError(f"{path} is not a stored comparison result")
        check_schema(values, SCHEMA, str(path), "compare anew")
        result = validate(cls, values, str(path))
        if missing := set(TEXT_SCORES) - result.scores.keys():
            raise ArtefactError(f"{path} is damaged: scores: no {', '.join(sorted(missing))}")
        for name in ("correct_values", "pointing"):
            if getattr(result, name) and len(getattr(result, name)) != len(result.outputs):
                raise ArtefactError(f"{path} is damaged: {name}: not one for each output")
        return result

    def write(self, directory: Path) -> Path:
        """Write the result into a directory, under its name."""
        path = directory / f"{self.name.replace(':', '-')}.json"
        write_json(path, asdict(self))
        return path
