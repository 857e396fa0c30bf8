"""The base of all options, and types that several of them use."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema, field_validator

from s2s.io.json_values import MAX_INTEGER

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]  # of a model or a dataset
SELECTORS = ("kind", "family", "name", "architecture")  # keys that decide which other keys their table has


class Options(BaseModel):
    """Immutable options; unknown keys are refused. Schemas are built when they are needed: commands start faster."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _within_64_bits(cls, value: Any) -> Any:
        if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
            raise ValueError("expected an integer of at most 64 bits")
        return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]  # a list of strings; a single string stands for a list of one
