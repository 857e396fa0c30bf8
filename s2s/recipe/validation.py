"""Describe what is wrong with a recipe in one message: the key, what was expected and the nearest known key."""

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from s2s.errors import UsageError, did_you_mean
from s2s.io.json_values import uncapitalized
from s2s.recipe.aliases import keys_called
from s2s.recipe.explain import Key, recipe_keys
from s2s.recipe.options import SELECTORS

TYPO = 0.75  # similarity of spelling from which an unknown key is a misspelt one


def refusal(error: ValidationError, where: str) -> UsageError:
    """Describe the first validation error: a message that names `where` and the key, and a hint."""
    first = error.errors(include_url=False)[0]
    keys = recipe_keys()
    key, variant = _place(first["loc"], keys)
    found, kind = first["input"], first["type"]
    if kind == "extra_forbidden":
        return _unknown_key(where, key, variant, keys)
    if kind in SELECTORS and isinstance(found, dict):
        return _unknown_variant(where, f"{key}.{kind}", found.get(kind, ""), first["msg"], keys)
    expected = "expected a table" if kind in {*SELECTORS, "model_type"} else uncapitalized(first["msg"])
    shown = "" if kind == "missing" or isinstance(found, dict) else f" (found {found!r})"
    return UsageError(f"{where}: {key or 'recipe'}: {expected}{shown}", _described(key, variant, keys))


def _place(location: tuple[int | str, ...], keys: list[Key]) -> tuple[str, tuple[str, str] | None]:
    """Return the key at pydantic's location, and the selector and variant that pydantic inserts after its table.

    Of tables in a list, whose variants are inside those of another table, return the inner variant.
    """
    chosen = {key.selector for key in keys}
    selectors = {
        (key.table, one): (key.key, one) for key in keys if key.key in chosen for one in key.values.split(" | ")
    }
    tables = {key.table for key in keys}
    parts: list[str] = []
    variant = None
    for part in location:
        if isinstance(part, int) and ".".join(parts) in tables:  # the position in a list of tables
            continue
        found = selectors.get((".".join(parts), str(part)))
        if found and found[0] != (variant and variant[0]):  # else a key that is called like a variant
            variant = found
        else:
            parts.append(str(part))
    return ".".join(parts), variant


def _unknown_key(where: str, key: str, variant: tuple[str, str] | None, keys: list[Key]) -> UsageError:
    """Name the variants that have the key, or the keys that may be meant."""
    selector, chosen = variant or ("", "")
    table, _, word = selector.rpartition(".")
    if owners := dict.fromkeys(one for k in keys if f"{k.key}.".startswith(f"{key}.") for one in k.variants):
        message = f"{where}: {key}: unknown key for {word} {chosen} (known for {word} {', '.join(owners)})"
        return UsageError(message, f"set {selector}, or see s2s explain {table}")
    near = _similar(key, keys)
    table = table or key.rpartition(".")[0]
    hint = f"s2s explain {table} lists its keys" if table else "s2s explain lists every key"
    return UsageError(f"{where}: {key}: unknown key" + (f"; did you mean {' or '.join(near)}?" if near else ""), hint)


def _similar(key: str, keys: list[Key]) -> list[str]:
    """Return the keys that `key` may mean; those of its own table without the table.

    Another toolkit's name for a key of the same table is certain; else a close spelling there, then names elsewhere.
    """
    table, _, name = key.rpartition(".")
    called = keys_called(name)
    if own := [one.rpartition(".")[2] for one in called if one.rpartition(".")[0] == table]:
        return own
    prefix = f"{table}." if table else ""
    siblings = {one.key.removeprefix(prefix).partition(".")[0] for one in keys if one.key.startswith(prefix)}
    if near := get_close_matches(name, sorted(siblings), n=1, cutoff=TYPO):
        return [*near, *called]
    return list(dict.fromkeys([*(one.key for one in keys if one.key.endswith(f".{name}")), *called]))


def _unknown_variant(where: str, key: str, found: Any, expected: str, keys: list[Key]) -> UsageError:
    """Name the kind or family that may be meant."""
    variants = next(known.values for known in keys if known.key == key).split(" | ")
    hint = did_you_mean(str(found), variants) or f"s2s explain {key.rpartition('.')[0]} lists the keys of each"
    return UsageError(f"{where}: {key}: {expected} (found {found!r})", hint)


def _described(key: str, variant: tuple[str, str] | None, keys: list[Key]) -> str | None:
    """Return the description of a key, or of the key it is part of."""
    for known in keys:
        in_force = variant is None or known.selector != variant[0] or variant[1] in known.variants
        if in_force and f"{key}.".startswith(f"{known.key}."):
            return f"{known.key}: {known.description}"
    return None
