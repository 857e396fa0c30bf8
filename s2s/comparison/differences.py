"""What sets two recipes apart: the keys whose values differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from s2s.recipe.flat import flattened

IGNORED = ("name", "description", "data.root")  # what a recipe is called, and where its data lie


def differences(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the keys that differ between recipes: `model.decoder.context: fixed | attention`.

    Where tables are of different families, the keys that only some of them have are left out: the family says it.
    """
    flat = [flattened(recipe) for recipe in recipes]
    keys = sorted({key for values in flat for key in values})
    apart = {key for key in keys if key not in IGNORED and any(values.get(key) != flat[0].get(key) for values in flat)}
    told = [key for key in keys if key in apart and not (_missing(key, flat) and _family(key) in apart)]
    return [f"{key}: {' | '.join(str(values.get(key, '–')) for values in flat)}" for key in told]


def _missing(key: str, recipes: Sequence[Mapping[str, Any]]) -> bool:
    return any(key not in values for values in recipes)


def _family(key: str) -> str:
    """Return the key that names the family of a key's table."""
    return f"{key.rpartition('.')[0]}.family"
