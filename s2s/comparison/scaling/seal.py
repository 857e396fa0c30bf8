"""A sealed prediction: written once, before its model is trained, and never changed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from s2s.comparison.scaling.law import Law
from s2s.errors import ArtefactError, UsageError
from s2s.io.atomic import atomic_writer
from s2s.io.digests import digest_json
from s2s.io.json_values import format_json, read_json, validate
from s2s.io.schema import check_schema
from s2s.registry.store import claim

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """The loss that a law predicts of a model."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    model: str
    key: str  # of the run that will train it: recipe, corpus, seed and version of the training code
    encoder: int  # parameters without embeddings
    decoder: int
    loss: float
    low: float  # 95 % interval
    high: float
    law: Law
    losses: Mapping[str, float]  # that the law was fitted to, by model
    time: str  # when it was made
    schema: int = SCHEMA


def seal(path: Path, prediction: Prediction) -> None:
    """Write a prediction with its digest. Raises UsageError if there is one: it is never replaced."""
    values = asdict(prediction)
    draft = path.with_name(f".{path.name}.draft")
    with atomic_writer(draft) as file:
        file.write(format_json({"prediction": values, "sha256": digest_json(values)}, indent=2).encode() + b"\n")
    try:
        if not claim(draft, path):
            raise UsageError(f"{path} exists: a prediction is made once", "name another --out")
    finally:
        draft.unlink(missing_ok=True)


def read_prediction(path: Path) -> tuple[Prediction, str]:
    """Return a sealed prediction and its sha256. Raises ArtefactError if it is damaged or was changed."""
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("prediction"), dict):
        raise ArtefactError(f"{path} is damaged: not a sealed prediction")
    sealed: dict[str, Any] = values["prediction"]
    if digest_json(sealed) != values.get("sha256"):
        raise ArtefactError(f"{path} was changed after it was sealed", "restore it, or name another --out")
    check_schema(sealed, SCHEMA, str(path))
    return validate(Prediction, sealed, str(path)), values["sha256"]
