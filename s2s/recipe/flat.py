"""A recipe as one level of keys: `{"training": {"lr": 1}}` as `{"training.lr": 1}`."""

from collections.abc import Mapping
from typing import Any


def flattened(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every key that holds a value, by its full name."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
