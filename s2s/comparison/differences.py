"""The keys in which recipes differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from s2s.recipe.flat import flattened

IGNORED = {  # what does not change a model: names, places, records, and how training is divided
    "name",
    "description",
    "data.root",
    "training.log_every",
    "training.keep_checkpoints",
    "training.parallel",
    "training.recompute",
}


def differences(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the keys that differ between recipes: `model.decoder.context: fixed | attention`.

    A key of only one family is listed only if the recipes that have it disagree; otherwise the difference in family
    implies it.
    """
    flat = [flattened(recipe) for recipe in recipes]
    keys = sorted({key for values in flat for key in values} - IGNORED)
    return [f"{key}: {' | '.join(str(values.get(key, '–')) for values in flat)}" for key in keys if _differs(key, flat)]


def _differs(key: str, recipes: Sequence[Mapping[str, Any]]) -> bool:
    values = [recipe[key] for recipe in recipes if key in recipe]
    if any(value != values[0] for value in values):
        return True
    families = {recipe.get(_family(key)) for recipe in recipes}
    return len(values) < len(recipes) and len(families) == 1


def _family(key: str) -> str:
    """Return the key that names the family of a key's table."""
    return f"{key.rpartition('.')[0]}.family"
