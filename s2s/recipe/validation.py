"""What is wrong with a recipe, as one message: the key, what was expected, and the nearest key that there is."""

from typing import Any

from pydantic import ValidationError

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.explain import Key, recipe_keys


def refusal(error: ValidationError, where: str) -> UsageError:
    """Describe the first validation error: a message that names `where` and the key, and a hint."""
    first = error.errors(include_url=False)[0]
    keys = recipe_keys()
    key, family = _place(first["loc"], keys)
    given = first["input"]
    if first["type"] == "extra_forbidden":
        return _unknown_key(where, key, family, keys)
    if first["type"] == "family" and isinstance(given, dict):
        return _unknown_family(where, f"{key}.family", given["family"], first["msg"], keys)
    expected = "expected a table" if first["type"] in {"family", "model_type"} else _expected(first["msg"])
    found = "" if first["type"] == "missing" or isinstance(given, dict) else f" (found {given!r})"
    return UsageError(f"{where}: {key or 'recipe'}: {expected}{found}", _described(key, family, keys))


def _place(location: tuple[int | str, ...], keys: list[Key]) -> tuple[str, str | None]:
    """Return the key at pydantic's location and the family of its table, which pydantic inserts between the two."""
    families = {(key.table, key.family) for key in keys if key.family}
    parts: list[str] = []
    family = None
    for part in map(str, location):
        if family is None and (".".join(parts), part) in families:
            family = part
        else:
            parts.append(part)
    return ".".join(parts), family


def _unknown_key(where: str, key: str, family: str | None, keys: list[Key]) -> UsageError:
    """did-you-mean among the keys of the same table first, then of its other families, then the same name elsewhere."""
    table, _, name = key.rpartition(".")
    others = [known for known in keys if known.table == table and known.family != family]
    owners = [known.family for known in others if known.key == key and known.family]
    if owners:
        return UsageError(f"{where}: {key}: no such key", f"{key} is a key of family {' or '.join(owners)}")
    siblings = _names_in(table, [known for known in keys if known not in others])
    near = did_you_mean(name, siblings) or did_you_mean(name, _names_in(table, others))
    elsewhere = dict.fromkeys(known.key for known in keys if known.key.endswith(f".{name}"))
    near = near or (f"did you mean {' or '.join(elsewhere)}?" if elsewhere else None)
    hint = f"s2s explain {table} lists the keys of each family" if others else "s2s explain lists every key"
    return UsageError(f"{where}: {key}: no such key" + (f"; {near}" if near else ""), hint)


def _names_in(table: str, keys: list[Key]) -> list[str]:
    """Return the names of the keys and tables in a table; the recipe itself is the table without a name."""
    prefix = f"{table}." if table else ""
    return sorted({known.key.removeprefix(prefix).partition(".")[0] for known in keys if known.key.startswith(prefix)})


def _unknown_family(where: str, key: str, given: Any, expected: str, keys: list[Key]) -> UsageError:
    families = [known.family for known in keys if known.key == key and known.family]
    hint = did_you_mean(str(given), families) or f"s2s explain {key.rpartition('.')[0]} lists the keys of each"
    return UsageError(f"{where}: {key}: {expected} (found {given!r})", hint)


def _expected(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _described(key: str, family: str | None, keys: list[Key]) -> str | None:
    """Return the description of a key, or of the key it is part of."""
    for known in keys:
        if f"{key}.".startswith(f"{known.key}.") and known.family == family:
            return f"{known.key}: {known.description}"
    return None
