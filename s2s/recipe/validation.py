"""Describe what is wrong with a recipe in one message: the key, what was expected and the nearest known key."""

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.aliases import keys_called
from s2s.recipe.explain import Key, recipe_keys
from s2s.recipe.options import SELECTORS

TYPO = 0.75  # similarity of spelling from which an unknown key is a misspelt one


def refusal(error: ValidationError, where: str) -> UsageError:
    """Describe the first validation error: a message that names `where` and the key, and a hint."""
    first = error.errors(include_url=False)[0]
    every = recipe_keys()
    key, variant = _place(first["loc"], every)
    keys = [known for known in every if variant is None or _is_in_force(known, *variant)]
    given, kind = first["input"], first["type"]
    if kind == "extra_forbidden":
        return _unknown_key(where, key, variant, keys, every)
    if kind in SELECTORS and isinstance(given, dict):
        return _unknown_variant(where, f"{key}.{kind}", given[kind], first["msg"], every)
    expected = "expected a table" if kind in {*SELECTORS, "model_type"} else _expected(first["msg"])
    found = "" if kind == "missing" or isinstance(given, dict) else f" (found {given!r})"
    return UsageError(f"{where}: {key or 'recipe'}: {expected}{found}", _described(key, keys))


def _place(location: tuple[int | str, ...], keys: list[Key]) -> tuple[str, tuple[str, str] | None]:
    """Return the key at pydantic's location, and the selector and variant that pydantic inserts after its table."""
    selectors = {(key.selector.rpartition(".")[0], one): (key.selector, one) for key in keys for one in key.variants}
    parts: list[str] = []
    variant = None
    for part in map(str, location):
        if variant is None and (".".join(parts), part) in selectors:
            variant = selectors[".".join(parts), part]
        else:
            parts.append(part)
    return ".".join(parts), variant


def _is_in_force(key: Key, selector: str, variant: str) -> bool:
    return key.selector != selector or variant in key.variants


def _unknown_key(
    where: str, key: str, variant: tuple[str, str] | None, keys: list[Key], every: list[Key]
) -> UsageError:
    """Name the variants that have the key, or the keys that may be meant."""
    if variant is not None:
        selector, chosen = variant
        owners = {one: None for known in every if f"{known.key}.".startswith(f"{key}.") for one in known.variants}
        if owners:
            word = selector.rpartition(".")[2]
            message = f"{where}: {key}: unknown key for {word} {chosen} (known for {word} {', '.join(owners)})"
            return UsageError(message, f"set {selector}, or see s2s explain {selector.rpartition('.')[0]}")
    near = _similar(key, keys, every)
    table = variant[0].rpartition(".")[0] if variant else ""
    hint = f"s2s explain {table} lists its keys" if table else "s2s explain lists every key"
    return UsageError(f"{where}: {key}: unknown key" + (f"; did you mean {' or '.join(near)}?" if near else ""), hint)


def _similar(key: str, keys: list[Key], every: list[Key]) -> list[str]:
    """Return the keys that `key` may mean; those of its own table without the table.

    Another toolkit's name for a key of the same table is certain; else a close spelling there, then names elsewhere.
    `keys` are those of the chosen kinds and families.
    """
    table, _, name = key.rpartition(".")
    called = keys_called(name)
    if own := [one.rpartition(".")[2] for one in called if one.rpartition(".")[0] == table]:
        return own
    for known in (keys, every):
        if near := get_close_matches(name, _names_in(table, known), n=1, cutoff=TYPO):
            return [*near, *called]
    return list(dict.fromkeys([*(one.key for one in every if one.key.endswith(f".{name}")), *called]))


def _names_in(table: str, keys: list[Key]) -> list[str]:
    """Return the names of the keys and tables in a table; the recipe itself is the table without a name."""
    prefix = f"{table}." if table else ""
    return sorted({one.key.removeprefix(prefix).partition(".")[0] for one in keys if one.key.startswith(prefix)})


def _unknown_variant(where: str, key: str, given: Any, expected: str, keys: list[Key]) -> UsageError:
    """Name the kind or family that may be meant."""
    variants = next(known.values for known in keys if known.key == key).split(" | ")
    hint = did_you_mean(str(given), variants) or f"s2s explain {key.rpartition('.')[0]} lists the keys of each"
    return UsageError(f"{where}: {key}: {expected} (found {given!r})", hint)


def _expected(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _described(key: str, keys: list[Key]) -> str | None:
    """Return the description of a key, or of the key it is part of."""
    for known in keys:
        if f"{key}.".startswith(f"{known.key}."):
            return f"{known.key}: {known.description}"
    return None
