"""Say what is wrong with the body of a request: the key, and what was expected."""

from pydantic import BaseModel, ValidationError

from s2s.errors import did_you_mean
from s2s.io.json_values import uncapitalized
from s2s.recipe.aliases import keys_called
from s2s.serving.http.bodies import TAGS
from s2s.serving.http.guard import HttpError

DESCRIPTION = "GET /openapi.json describes the interface"


def refusal(error: ValidationError, kind: type[BaseModel]) -> HttpError:
    """Return the first fault that pydantic found in a body of a kind; of an unknown key, with the one it may mean."""
    fault = error.errors(include_url=False, include_input=False)[0]
    location = [str(part) for depth, part in enumerate(fault["loc"]) if depth != 1 or part not in TAGS]
    key = ".".join(location)
    if fault["type"] == "extra_forbidden":
        hint = _meant(key, kind) if len(location) == 1 else None
        return HttpError(400, f"{key}: unknown key", hint or DESCRIPTION)
    message = uncapitalized(fault["msg"])
    return HttpError(400, f"{key}: {message}" if key else message)


def _meant(name: str, kind: type[BaseModel]) -> str | None:
    """Return `did you mean X?` for what other toolkits call `name`, or for a close spelling."""
    known = list(kind.model_fields)
    called = [key.removeprefix("decoding.") for key in keys_called(name)]
    return did_you_mean(next((key for key in called if key in known), name), known)
