"""The base of all options: a key that is not known is refused, every field has a description."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Immutable options; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
