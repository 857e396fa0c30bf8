"""The keys of a recipe in words: what each may hold, its default and what it is for. Made from the schema itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.schema import Recipe

NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "array": "list"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its full name, the values it takes, its default (None: it has none), and its description."""

    key: str
    values: str
    default: Any
    required: bool
    description: str


def recipe_keys() -> list[Key]:
    """Every key of a recipe in the schema's order, a table's own keys before those of tables inside it."""
    schema = Recipe.model_json_schema(by_alias=True)
    return list(_keys(schema, schema["$defs"], ""))


def section_titles() -> dict[str, str]:
    """What each table of a recipe is about: `training` -> `How the network is trained.`"""
    schema = Recipe.model_json_schema(by_alias=True)
    return dict(_titles(schema, schema["$defs"], ""))


def keys_named(name: str) -> list[Key]:
    """The key of that name, the keys of that table, or else those that end in that name.

    Raises: UsageError with the nearest names where there are none.
    """
    keys = recipe_keys()
    found = [key for key in keys if key.key == name or key.key.startswith(f"{name}.")]
    found = found or [key for key in keys if key.key.endswith(f".{name}")]
    if found:
        return found
    last = {key.key.rpartition(".")[2] for key in keys}
    known = [key.key for key in keys] + [table for table in section_titles() if table]
    hint = did_you_mean(name, known) or did_you_mean(name.rpartition(".")[2], sorted(last))
    raise UsageError(f"{name}: no such key in a recipe", hint or "s2s explain lists every key")


def _keys(node: dict[str, Any], tables: dict[str, Any], prefix: str) -> Iterator[Key]:
    for name, field in sorted(
        node["properties"].items(), key=lambda item: "$ref" in item[1]
    ):  # its own keys, then its tables
        if "$ref" in field:
            yield from _keys(_table(field, tables), tables, f"{prefix}{name}.")
        else:
            yield Key(
                key=prefix + name,
                values=_values(field),
                default=field.get("default"),
                required=name in node.get("required", []),
                description=field["description"],
            )


def _titles(node: dict[str, Any], tables: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    yield name, node["description"].split("\n")[0]
    for inner, field in node["properties"].items():
        if "$ref" in field:
            yield from _titles(_table(field, tables), tables, f"{name}.{inner}".removeprefix("."))


def _table(field: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = tables[field["$ref"].rpartition("/")[2]]
    return table


def _values(field: dict[str, Any]) -> str:
    """What a field may hold: `integer ≥ 1, ≤ 16384`, `linear | none`, `list of text`."""
    if "anyOf" in field:  # a value, or none at all
        return _values(field["anyOf"][0])
    if choices := field.get("enum", [field["const"]] if "const" in field else None):
        return " | ".join(map(str, choices))
    if field["type"] == "array":
        parts = field.get("prefixItems")
        return f"list of {len(parts)}: {_values(parts[0])}" if parts else f"list of {_values(field['items'])}"
    name = NAMES[field["type"]]
    if "pattern" in field:
        return f"{name} of the form {field['pattern'].strip('^$')}"
    limits = ", ".join(f"{sign} {field[bound]}" for bound, sign in BOUNDS.items() if bound in field)
    return f"{name} {limits}".rstrip()
