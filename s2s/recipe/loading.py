"""Recipes as files: TOML with `extends`, values from `--set key=value`, errors that name file, key and nearest key."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from s2s.errors import ArtefactError, S2SError, UsageError, did_you_mean
from s2s.files import explained
from s2s.recipe.schema import SCHEMA, Recipe


def builtin_folder() -> Path:
    """The folder of the recipes that come with s2s: inside the wheel, or beside the package in a clone."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def builtin_recipes() -> dict[str, Path]:
    """`numbers/attention` -> its file, in alphabetical order."""
    folder = builtin_folder()
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.glob("*/*.toml"))}


def find_recipe(reference: str) -> Path:
    """The file of a recipe: a path, or the name of a built-in one. Raises UsageError with the nearest names."""
    known = builtin_recipes()
    if reference in known:
        return known[reference]
    path = Path(reference)
    if path.is_file():
        return path
    if path.suffix == ".toml":
        raise UsageError(f"recipe {reference}: no such file")
    raise UsageError(
        f"recipe {reference}: no such recipe", did_you_mean(reference, list(known)) or "see s2s recipes list"
    )


def load_recipe(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a name or file, with `key=value` overrides, every default filled in and checked.

    `data.root` becomes absolute: relative to the file it stands in, or to the current folder where it is an override.
    Raises: UsageError for an unknown key, a value out of range, fields that contradict each other.
    """
    path = find_recipe(reference)
    values = _read(path)
    given = [_override(text) for text in overrides]
    for keys, value in given:
        _put(values, keys, value)
    data = values.get("data")
    if isinstance(data, dict):
        base = Path.cwd() if any(keys == ["data", "root"] for keys, _ in given) else path.parent
        data["root"] = str((base / str(data.get("root", ""))).resolve())
    return parse_recipe(values, f"recipe {reference}")


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe in `values`. Raises ArtefactError for a newer schema, else UsageError naming `where` and the key."""
    schema = values.get("schema", SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        raise ArtefactError(f"{where}: schema {schema} is newer than this s2s reads ({SCHEMA})", "use a newer s2s")
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _explained(error, where) from error


def all_keys(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    """Every key of a recipe: `data.kind`, `training.lr`, …."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from all_keys(inner, f"{key}.")
        else:
            yield key


def recipe_files(path: Path) -> list[Path]:
    """The file of a recipe, and those that it extends, the nearest first."""
    return [file for file, _ in _layers(path)]


def _read(path: Path) -> dict[str, Any]:
    """The values in a file, laid over those of the file it extends."""
    merged: dict[str, Any] = {}
    for _, values in reversed(_layers(path)):
        merged = _merged(merged, values)
    return merged


def _layers(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The files that make a recipe and their values, without `extends`, the nearest first."""
    layers: list[tuple[Path, dict[str, Any]]] = []
    following: Path | None = path
    while following is not None:
        if any(following.samefile(file) for file, _ in layers):
            raise UsageError(f"recipe {path}: extends itself")
        values = _toml(following)
        base = values.pop("extends", None)
        layers.append((following, values))
        following = None if base is None else _extended(following, base)
    return layers


def _toml(path: Path) -> dict[str, Any]:
    with explained(path, "read"):
        content = path.read_bytes()
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path}: not TOML: {error}") from error


def _extended(path: Path, base: object) -> Path:
    """What `extends = base` means in the recipe at `path`: a built-in recipe, or a file relative to this one."""
    if not isinstance(base, str):
        raise UsageError(f"recipe {path}: extends: expected a file name")
    known = builtin_recipes()
    parent = known.get(base, path.parent / base)
    if not parent.is_file():
        raise UsageError(f"recipe {path}: extends {base}: no such recipe", did_you_mean(base, list(known)))
    return parent


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _override(text: str) -> tuple[list[str], Any]:
    """`training.lr=1e-3` -> (["training", "lr"], 0.001): a TOML value, or else a string."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text}: expected key=value")
    try:
        return key.split("."), tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return key.split("."), value


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {'.'.join(keys)}: {key} holds a value, not a table")
    values[keys[-1]] = value


def _explained(error: ValidationError, where: str) -> S2SError:
    """The first thing that is wrong, as one message."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        hint = _nearest(key)
        return UsageError(f"{where}: {key}: no such key" + (f"; {hint}" if hint else ""), "s2s explain lists every key")
    expected = first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] == "missing" or isinstance(first["input"], dict) else f" (found {first['input']!r})"
    return UsageError(f"{where}: {key or 'recipe'}: {expected[:1].lower() + expected[1:]}{found}", _describe(key))


def _nearest(key: str) -> str | None:
    """did-you-mean among the keys of the same table first, then among all."""
    table, _, name = key.rpartition(".")
    keys = list(all_keys())
    siblings = sorted(
        {known[len(table) + 1 if table else 0 :].split(".")[0] for known in keys if known.startswith(table)}
    )
    return did_you_mean(name, siblings) or did_you_mean(key, keys)


def _describe(key: str) -> str | None:
    model: type[BaseModel] = Recipe
    description = None
    for part in key.split("."):
        field = next((f for name, f in model.model_fields.items() if part in {name, f.alias}), None)
        if field is None:
            break
        description = field.description
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return f"{key}: {description}" if description else None
