"""Stored results of one training on one test set, so that a later comparison need not train or translate again."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict

from s2s.decoding.attention_quality import AttentionQuality
from s2s.devices.runtime import Machine
from s2s.errors import ArtefactError
from s2s.io.json_values import read_json, validate
from s2s.io.schema import check_schema
from s2s.metrics.scenes import Pointing
from s2s.metrics.scores import Score
from s2s.report.format import counted

SCHEMA = 6
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of test sets and systems: parts of file names
SYSTEM = re.compile(rf"{NAME.pattern}(:[1-9][0-9]*)?")  # a name, or the reference of a version


@dataclass(frozen=True, slots=True)
class StoredTraining:
    """How the weights of a system came about."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    network: str
    recipe: dict[str, Any]
    seed: int
    corpus: str  # digest
    tokenizer: str  # digest of its model
    parameters: int
    updates: int
    tokens: int  # target tokens trained on
    seconds: float
    versions: dict[str, str]  # of the code, with its commit if known
    machine: Machine

    @property
    def code(self) -> str:
        """Version and commit: `s2s 0.1.0 (1a2b3c4d5e6f)`."""
        commit = self.versions.get("commit")
        return f"s2s {self.versions.get('s2s', '?')}" + (f" ({commit})" if commit else "")

    def describe_machine(self) -> str:
        """Return the machine: `Linux x86_64 (avx2, avx512f), 2 threads`."""
        return f"{self.machine.describe()}, {counted(self.machine.threads, 'thread')}"


@dataclass(frozen=True, slots=True)
class StoredResult:
    """Outputs and scores of one training of a system, or of another toolkit's system, on one test set."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str  # of the system, the same for all its seeds
    test: str  # digest of the test set's sentences
    outputs: list[str]
    scores: dict[str, Score]
    command: str  # that repeats this result
    test_name: str = ""  # of a named test set; empty: the test split of the corpus
    decoding: str = ""  # empty: another toolkit's output
    training: StoredTraining | None = None  # None: another toolkit's output
    perplexity: float | None = None
    correct_values: list[int] = field(default_factory=list)  # recall only: correct values per line, forced decoding
    pointing: list[Pointing] = field(default_factory=list)  # scenes only: where attention was at shape words, per line
    attention: AttentionQuality | None = None  # to the sources of text, while the references are forced
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a stored result. Raises ArtefactError if it is damaged or has another schema."""
        values = read_json(path)
        if not isinstance(values, dict) or "schema" not in values:
            raise ArtefactError(f"{path} is not a stored comparison result")
        check_schema(values, SCHEMA, str(path), "compare anew")
        result = validate(cls, values, str(path))
        if not SYSTEM.fullmatch(result.name) or (result.test_name and not NAME.fullmatch(result.test_name)):
            raise ArtefactError(f"{path} is damaged: name or test_name: not part of a file's name")
        for name in ("correct_values", "pointing"):
            if getattr(result, name) and len(getattr(result, name)) != len(result.outputs):
                raise ArtefactError(f"{path} is damaged: {name}: not one for each output")
        return result

    def file_name(self, *, with_seed: bool) -> str:
        """Return a name for the result's file, of system, seed (if `with_seed`) and test set."""
        parts = [self.name.replace(":", "-")]
        parts += [f"seed-{self.training.seed}"] if with_seed and self.training else []
        parts += [self.test_name] if self.test_name else []
        return f"{'-'.join(parts)}.json"
