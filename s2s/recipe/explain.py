"""Describe the keys of a recipe, from its schema: allowed values, default and meaning.

Tables that come in several variants (`data` by its kind, like those of the list `data.datasets`; `model.encoder` and
`model.decoder` by their families, those of the list `data.filters` by their names) have keys that only some of them
use.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from s2s.errors import UsageError, did_you_mean
from s2s.recipe.aliases import keys_called
from s2s.recipe.options import SELECTORS
from s2s.recipe.recipe import Recipe

NAMES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "table",
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a recipe."""

    key: str  # full name: model.encoder.heads
    selector: str  # key that decides whether the recipe has this one: model.encoder.family; empty: it always does
    variants: tuple[str, ...]  # values of the selector for which the recipe has it; empty without a selector
    values: str  # allowed values: integer ≥ 1
    default: Any  # None if it has none
    required: bool  # whether a recipe must set it
    description: str  # its meaning and unit

    @property
    def table(self) -> str:
        """The table that holds it: `model.encoder`."""
        return self.key.rpartition(".")[0]

    @property
    def section(self) -> str:
        """The table and for which variants: `model.encoder, family rnn`."""
        which = f", {self.selector.rpartition('.')[2]} {' | '.join(self.variants)}" if self.variants else ""
        return self.table + which


EXTENDS = Key(
    key="extends",
    selector="",
    variants=(),
    values="text",
    default=None,
    required=False,
    description="a built-in recipe or a file relative to this one, whose keys this recipe changes or adds to",
)


def recipe_keys() -> list[Key]:
    """Return every key of a recipe in the schema's order, a table's own keys before those of tables inside it."""
    return [key for key, _ in _recipe_keys()]


def section_titles() -> dict[str, str]:
    """Return a title for each section: `training` -> `How the network is trained.`; empty if its variants differ."""
    return {key.section: title for key, title in _recipe_keys()}


def keys_named(name: str) -> list[Key]:
    """Return the key of that name, the keys of that table, those that end in that name, or those described with it.

    Raises: UsageError with the nearest names if there are none.
    """
    keys = [EXTENDS, *recipe_keys()]
    found = [key for key in keys if key.key == name or key.key.startswith(f"{name}.")]
    found = found or [key for key in keys if key.key.endswith(f".{name}")]
    if found:
        return found
    last = name.rpartition(".")[2]
    if called := keys_called(last):
        raise UsageError(f"{name}: unknown key", f"did you mean {' or '.join(called)}?")
    if described := [key for key in keys if re.search(rf"\b{re.escape(name)}\b", key.description, re.IGNORECASE)]:
        return described
    known = dict.fromkeys([*(key.key for key in keys), *(key.table for key in keys if key.table)])
    names = sorted({key.key.rpartition(".")[2] for key in keys})
    hint = did_you_mean(name, list(known)) or did_you_mean(last, names)
    raise UsageError(f"{name}: unknown key", hint or "s2s explain lists every key")


Titled = tuple[Key, str]  # a key and the title of its table


def _recipe_keys() -> list[Titled]:
    schema = Recipe.model_json_schema(by_alias=True)
    return list(_keys(schema, schema["$defs"], ""))


def _keys(node: dict[str, Any], tables: dict[str, Any], prefix: str) -> Iterator[Titled]:
    """Yield the keys of a table, then those of the tables inside it."""
    fields = [(name, field, _inner(field, tables)) for name, field in node["properties"].items()]
    for name, field, variants in sorted(fields, key=lambda one: bool(one[2])):
        if len(variants) > 1:
            yield from _variants(field, variants, tables, f"{prefix}{name}.")
        elif variants:
            yield from _keys(variants[0], tables, f"{prefix}{name}.")
        else:
            key = Key(
                key=prefix + name,
                selector="",
                variants=(),
                values=_values(field),
                default=field.get("default"),
                required=name in node.get("required", []),
                description=field["description"],
            )
            yield key, _first_line(node)


def _variants(
    field: dict[str, Any], variants: list[dict[str, Any]], tables: dict[str, Any], prefix: str
) -> Iterator[Titled]:
    """Yield the keys of a table that comes in variants: its selector, the keys of all variants, then the others."""
    selector = prefix + next(name for name in SELECTORS if name in variants[0]["properties"])
    selectors: list[Key] = []
    found: dict[str, list[tuple[Key, str]]] = {}  # equal keys, one of each variant
    for table in variants:
        keys = list(_keys(table, tables, prefix))
        selectors += [key for key, _ in keys if key.key == selector]
        for key, title in keys:
            if key.key != selector:
                named = (
                    key
                    if key.selector
                    else replace(key, selector=selector, variants=tuple(selectors[-1].values.split(" | ")))
                )
                found.setdefault(repr(key), []).append((named, title))
    values = " | ".join(key.values for key in selectors)
    meaning = "; ".join(key.description for key in selectors)
    shared = field["description"]
    yield replace(selectors[0], values=values, description=meaning), shared
    merged = [
        equal[0] if equal[0][0].selector != selector else _merged(equal, values, shared) for equal in found.values()
    ]
    sections = ["", *dict.fromkeys(key.section for key, _ in merged if key.variants)]
    yield from sorted(merged, key=lambda one: sections.index(one[0].section if one[0].variants else ""))


def _merged(equal: list[Titled], values: str, shared: str) -> Titled:
    """Merge the equal keys of several variants; `values` are all variants, `shared` the title of what they share."""
    variants = tuple(variant for key, _ in equal for variant in key.variants)
    titles = {title for _, title in equal}
    if " | ".join(variants) == values:
        inside = equal[0][0].table != equal[0][0].selector.rpartition(".")[0]  # a table of its own
        return replace(equal[0][0], selector="", variants=()), titles.pop() if inside else shared
    return replace(equal[0][0], variants=variants), titles.pop() if len(titles) == 1 else ""


def _inner(field: dict[str, Any], tables: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tables that a field or the items of its list may hold, one per variant; empty if they are values."""
    field = field.get("items", field)
    field = next((one for one in field.get("anyOf", []) if "oneOf" in one), field)  # a table that may be missing
    return [tables[one["$ref"].rpartition("/")[2]] for one in field.get("oneOf", [field]) if "$ref" in one]


def _values(field: dict[str, Any]) -> str:
    """Describe a field's values: `integer ≥ 1, ≤ 16384`, `linear | none`, `list of text`."""
    if "anyOf" in field:
        return " | ".join(_values(one) for one in field["anyOf"] if one.get("type") != "null")
    if choices := field.get("enum", [field["const"]] if "const" in field else None):
        return " | ".join(map(str, choices))
    name = NAMES[field["type"]]
    if field["type"] in {"array", "object"}:
        parts = field.get("prefixItems")
        items = field.get("items") or field.get("additionalProperties", {})
        return f"{name} of {len(parts)}: {_values(parts[0])}" if parts else f"{name} of {_values(items)}"
    if "form" in field:
        return str(field["form"])
    if "pattern" in field:
        return f"{name} that matches {field['pattern'].strip('^$')}"
    limits = ", ".join(f"{sign} {field[bound]}" for bound, sign in BOUNDS.items() if bound in field)
    return f"{name} {limits}".rstrip()


def _first_line(node: dict[str, Any]) -> str:
    return str(node["description"].split("\n")[0])
