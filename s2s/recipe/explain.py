"""The keys of a recipe in words: what each may hold, its default and what it is for. Made from the schema itself.

A table that has a family (`model.encoder`, `model.decoder`) is there once for each family.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.recipe import Recipe

NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "array": "list"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its full name, the family whose table it stands in (None: a table without), the values it takes,
    its default (None: it has none), and its description.
    """

    key: str
    family: str | None
    values: str
    default: Any
    required: bool
    description: str

    @property
    def table(self) -> str:
        """The table it stands in: `model.encoder`."""
        return self.key.rpartition(".")[0]

    @property
    def section(self) -> str:
        """The table with its family: `model.encoder, family rnn`."""
        return _section(self.table, self.family)


def recipe_keys() -> list[Key]:
    """Every key of a recipe in the schema's order, a table's own keys before those of tables inside it."""
    schema = Recipe.model_json_schema(by_alias=True)
    return list(_keys(schema, schema["$defs"], "", None))


def section_titles() -> dict[str, str]:
    """Return a title for each section: `training` -> `How the network is trained.`"""
    schema = Recipe.model_json_schema(by_alias=True)
    return dict(_titles(schema, schema["$defs"], "", None))


def keys_named(name: str) -> list[Key]:
    """Return the key of that name, the keys of that table, or the keys that end in that name.

    Raises: UsageError with the nearest names where there are none.
    """
    keys = recipe_keys()
    found = [key for key in keys if key.key == name or key.key.startswith(f"{name}.")]
    found = found or [key for key in keys if key.key.endswith(f".{name}")]
    if found:
        return found
    last = {key.key.rpartition(".")[2] for key in keys}
    known = dict.fromkeys([*(key.key for key in keys), *(key.table for key in keys if key.table)])
    hint = did_you_mean(name, list(known)) or did_you_mean(name.rpartition(".")[2], sorted(last))
    raise UsageError(f"{name}: no such key in a recipe", hint or "s2s explain lists every key")


def _keys(node: dict[str, Any], tables: dict[str, Any], prefix: str, family: str | None) -> Iterator[Key]:
    fields = [(name, field, _inner(field, tables)) for name, field in node["properties"].items()]
    for name, field, inner in sorted(fields, key=lambda one: bool(one[2])):  # its own keys, then its tables
        for inner_family, table in inner:
            yield from _keys(table, tables, f"{prefix}{name}.", inner_family)
        if not inner:
            yield Key(
                key=prefix + name,
                family=family,
                values=_values(field),
                default=field.get("default"),
                required=name in node.get("required", []),
                description=field["description"],
            )


def _titles(node: dict[str, Any], tables: dict[str, Any], name: str, family: str | None) -> Iterator[tuple[str, str]]:
    yield _section(name, family), node["description"].split("\n")[0]
    for inner, field in node["properties"].items():
        for inner_family, table in _inner(field, tables):
            yield from _titles(table, tables, f"{name}.{inner}".removeprefix("."), inner_family)


def _section(table: str, family: str | None) -> str:
    return f"{table}, family {family}" if family else table


def _inner(field: dict[str, Any], tables: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """Return the tables a field may hold, one per family; empty if it holds a value."""
    found = [tables[one["$ref"].rpartition("/")[2]] for one in field.get("oneOf", [field]) if "$ref" in one]
    return [(table["properties"].get("family", {}).get("const"), table) for table in found]


def _values(field: dict[str, Any]) -> str:
    """Describe a field's values: `integer ≥ 1, ≤ 16384`, `linear | none`, `list of text`."""
    if "anyOf" in field:  # one kind of value or another; none at all is not said
        return " | ".join(_values(one) for one in field["anyOf"] if one.get("type") != "null")
    if choices := field.get("enum", [field["const"]] if "const" in field else None):
        return " | ".join(map(str, choices))
    if field["type"] == "array":
        parts = field.get("prefixItems")
        return f"list of {len(parts)}: {_values(parts[0])}" if parts else f"list of {_values(field['items'])}"
    name = NAMES[field["type"]]
    if "form" in field:
        return str(field["form"])
    if "pattern" in field:
        return f"{name} that matches {field['pattern'].strip('^$')}"
    limits = ", ".join(f"{sign} {field[bound]}" for bound, sign in BOUNDS.items() if bound in field)
    return f"{name} {limits}".rstrip()
