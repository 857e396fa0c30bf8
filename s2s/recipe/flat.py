"""Flatten a recipe to one level of keys: `{"training": {"lr": 1}}` to `{"training.lr": 1}`."""

from collections.abc import Mapping
from typing import Any


def flattened(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value by the full name of its key."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
