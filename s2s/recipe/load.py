"""Load recipes: TOML files with `extends`, overrides from `--set key=value`."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from s2s.errors import ArtefactError, UsageError, did_you_mean, wrap_os_errors
from s2s.io.schema import check_schema
from s2s.recipe.data import LOCATION, keys_of
from s2s.recipe.kinds import kind_of
from s2s.recipe.model import family_of
from s2s.recipe.options import SELECTORS
from s2s.recipe.recipe import SCHEMA, Recipe
from s2s.recipe.validation import refusal

FOREIGN = {  # architecture: keys of the others
    "encoder_decoder": {"source_attention"},
    "decoder_only": {"encoder"},
    "encoder_only": {"decoder", "source_attention"},
}
Override = tuple[list[str], Any]  # keys and value: (["training", "lr"], 0.001)


def builtin_directory() -> Path:
    """Return the directory of the built-in recipes: inside the wheel, or beside the package in a clone."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def builtin_recipes() -> dict[str, Path]:
    """Map the names of the built-in recipes (`numbers/attention`) to their files, in alphabetical order."""
    directory = builtin_directory()
    found = {path.relative_to(directory).with_suffix("").as_posix(): path for path in directory.glob("*/*.toml")}
    return dict(sorted(found.items()))


def find_recipe(reference: str) -> Path:
    """Return the file of a recipe, given its path or built-in name. Raises UsageError with the nearest names."""
    known = builtin_recipes()
    if reference in known:
        return known[reference]
    path = Path(reference)
    if path.is_file():
        return path
    kind = "file" if path.suffix == ".toml" else "recipe"
    files = [str(other) for other in path.parent.glob("*.toml")]
    hint = did_you_mean(reference, [*known, *files]) or "see s2s recipes list"
    raise UsageError(f"recipe {reference}: no such {kind}", hint)


def load_recipe(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe by name or file, apply `key=value` overrides, fill in defaults and validate it.

    `data.root` becomes absolute: relative to the file that sets it, or to the current directory for an override.
    Raises: UsageError for an unknown key, a value out of range, fields that contradict each other.
    """
    path = find_recipe(reference)
    values = _overridden(_read(path), [_override(text) for text in overrides])
    _resolve_root(values, Path.cwd())  # of an override; those of files are absolute
    data = values.get("data")
    if isinstance(data, dict) and "root" in keys_of(kind_of(data)) and data.get("root", "") == "":
        data["root"] = str(path.parent.resolve())
    return parse_recipe(values, f"recipe {reference}")


def refuse_encoder_only(recipe: Recipe) -> None:
    """Raise UsageError if a recipe describes a network that is only planned."""
    if recipe.model.architecture == "encoder_only":
        raise UsageError(
            f"recipe {recipe.name}: encoder-only models are planned, not trained",
            'see s2s plan, or train a recipe with model.architecture = "encoder_decoder" or "decoder_only"',
        )


def recipe_to_keep(reference: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the values of a recipe as they would be written in a file.

    Every default is filled in, except `data.root`: it is kept only if the recipe or an override sets it.
    Raises: see load_recipe.
    """
    values = load_recipe(reference, overrides).as_dict()
    written = _overridden(_read(find_recipe(reference)), [_override(text) for text in overrides])
    if not written["data"].get("root"):
        values["data"].pop("root", None)
    return values


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """Validate `values` as a recipe.

    Raises: ArtefactError for another schema number, else UsageError naming `where` and the key.
    """
    check_schema(values, SCHEMA, where)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise refusal(error, where) from error


def parse_stored_recipe(values: Any, where: str) -> Recipe:
    """Validate the recipe of a model or run. Raises ArtefactError naming `where` and the key if it is invalid."""
    try:
        return parse_recipe(values, where)
    except UsageError as error:
        raise ArtefactError(f"{error.message}: the file is damaged", error.hint) from error


def recipe_files(path: Path) -> list[Path]:
    """Return the file of a recipe and the files it extends, nearest first."""
    return [file for file, _ in _layers(path)]


def _read(path: Path) -> dict[str, Any]:
    """Read a file's values, merged over those of the file it extends."""
    merged: dict[str, Any] = {}
    for file, values in reversed(_layers(path)):
        _resolve_root(values, file.parent)
        merged = _merged(_switched(merged, values), values)
    return merged


def _resolve_root(values: dict[str, Any], base: Path) -> None:
    """Make `data.root` absolute, relative to `base`, if it is set."""
    data = values.get("data")
    if isinstance(data, dict) and isinstance(root := data.get("root"), str) and root:
        data["root"] = str((base / root).resolve())


def _layers(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the files that make up a recipe and their values, without `extends`, nearest first."""
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
    with wrap_os_errors(path, "read"):
        content = path.read_bytes()
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8 or of a number
        raise UsageError(f"recipe {path}: not TOML: {error}") from error


def _extended(path: Path, base: object) -> Path:
    """Resolve `extends = base` in the recipe at `path`: a built-in recipe, or a file relative to this one."""
    if not isinstance(base, str):
        raise UsageError(f"recipe {path}: extends: expected a file name")
    known = builtin_recipes()
    parent = known.get(base, path.parent / base)
    if not parent.is_file():
        siblings = [other.name for other in path.parent.glob("*.toml")]
        raise UsageError(f"recipe {path}: extends {base}: no such recipe", did_you_mean(base, [*known, *siblings]))
    return parent


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _switched(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Drop from `base` the keys of another kind of data, another family or architecture than `over` selects.

    Data keeps the keys that both kinds share, except those that locate the pairs; an encoder or decoder keeps none.
    """
    switched = dict(base)
    if _changes(base, over, "data", "kind", kind_of):
        keys = keys_of(kind_of(over["data"])) - LOCATION
        switched["data"] = {key: value for key, value in base["data"].items() if key in keys}
    if isinstance(base.get("model"), dict) and isinstance(over.get("model"), dict):
        foreign = FOREIGN.get(str(over["model"].get("architecture")), set())
        switched["model"] = {
            side: value
            for side, value in base["model"].items()
            if side not in foreign and not _changes(base["model"], over["model"], side, "family", family_of)
        }
    return switched


def _changes(
    base: dict[str, Any], over: dict[str, Any], table: str, selector: str, chosen: Callable[[Any], Any]
) -> bool:
    """Whether `over` selects another variant of a table than `base`."""
    old, new = base.get(table), over.get(table)
    return isinstance(old, dict) and isinstance(new, dict) and selector in new and chosen(old) != chosen(new)


def _override(text: str) -> Override:
    """Parse `training.lr=1e-3` to (["training", "lr"], 0.001): a TOML value, or else a string."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text}: expected key=value")
    try:
        return key.split("."), tomllib.loads(f"x = {value}")["x"]
    except (ValueError, RecursionError):  # of TOML or of a number
        return key.split("."), value


def _overridden(values: dict[str, Any], overrides: list[Override]) -> dict[str, Any]:
    """Apply overrides in order, but kinds and families first, since they decide which keys are kept."""
    selected: dict[str, Any] = {}
    for keys, value in overrides:
        if keys[-1] in SELECTORS:
            _put(selected, keys, value)
    values = _switched(values, selected)
    for keys, value in overrides:
        _put(values, keys, value)
    return values


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {'.'.join(keys)}: {key} is a value, not a table")
    values[keys[-1]] = value
