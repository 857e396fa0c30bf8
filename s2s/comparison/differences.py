"""What sets two recipes apart: the keys whose values differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

IGNORED = ("name", "description", "data.root")  # what a recipe is called, and where its data lie


def differences(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each key that is not the same in all recipes: `model.decoder.context: summary | attention`."""
    flat = [dict(_flattened(recipe)) for recipe in recipes]
    keys = sorted({key for values in flat for key in values})
    lines = []
    for key in keys:
        values = [values.get(key, "–") for values in flat]
        if key not in IGNORED and any(value != values[0] for value in values):
            lines.append(f"{key}: {' | '.join(str(value) for value in values)}")
    return lines


def _flattened(recipe: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
