"""The systems of a comparison: recipes and their variants, published models, and stored results."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

from s2s.comparison.stored import StoredResult
from s2s.errors import UsageError
from s2s.recipe.data import primary_language
from s2s.recipe.load import builtin_recipes, load_recipe, parse_stored_recipe
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version


@dataclass(frozen=True, slots=True)
class Entry:
    """A system to compare."""

    command: str  # that repeats its evaluation
    recipe: Recipe
    version: Version | None = None  # None until the recipe is trained
    stored: StoredResult | None = None  # from an earlier comparison


def find_entries(names: Sequence[str], overrides: Sequence[str], vary: Sequence[str]) -> list[Entry]:
    """Resolve names of systems; `vary` holds `KEY=a,b`, variants that each recipe stands for.

    Raises: UsageError if there are none, if they translate between different languages, or if overrides apply to none.
    """
    entries = [entry for name in expand_patterns(names) for entry in _entries(name, overrides, vary)]
    if not entries:
        raise UsageError("nothing to compare", "name recipes, models or results")
    _check_comparable(entries, overrides, vary)
    return entries


def expand_patterns(names: Sequence[str]) -> list[str]:
    """Replace patterns by the built-in recipes that match them; remove duplicates."""
    found = []
    for name in names:
        matches = [known for known in builtin_recipes() if fnmatchcase(known, name)]
        if not matches and "*" in name:
            raise UsageError(f"no recipe matches {name}", "see s2s recipes list")
        found += matches or [name]
    return list(dict.fromkeys(found))


def _entries(name: str, overrides: Sequence[str], vary: Sequence[str]) -> list[Entry]:
    """Resolve a name: the file of a stored result, a recipe with its variants, or a model."""
    if name.endswith(".json"):
        stored = StoredResult.read(Path(name))
        return [Entry(stored.command, parse_stored_recipe(stored.recipe, f"recipe of {name}"), stored=stored)]
    if name in builtin_recipes() or name.endswith(".toml") or "/" in name:
        return [
            Entry(_command(name, settings), load_recipe(name, settings))
            for settings in variants(load_recipe(name, overrides).name, overrides, vary)
        ]
    version = Registry.default().resolve(name)
    recipe = parse_stored_recipe(version.card.recipe, f"recipe of {version.reference}")
    return [Entry(_command(name, overrides), _with_root(recipe, overrides), version)]


def _command(name: str, overrides: Sequence[str]) -> str:
    return shlex.join(["s2s", "compare", name, *(part for override in overrides for part in ("--set", override))])


def variants(name: str, overrides: Sequence[str], vary: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each variant of a recipe called `name`, each with a name of its own.

    `vary` holds `KEY=a,b`; several give all combinations. Raises: UsageError if one has no key or values.
    """
    choices = []
    for text in vary:
        key, equals, values = text.partition("=")
        found = [value for value in values.split(",") if value]
        if not (key and equals and found):
            raise UsageError(f"--vary {text}: expected KEY=VALUE,VALUE")
        choices.append([(key, value) for value in found])
    if not choices:
        return [list(overrides)]
    found_variants = []
    for combination in product(*choices):
        suffix = re.sub(r"[^a-z0-9._-]+", "-", "-".join(value.lower() for _, value in combination))
        settings = [f"{key}={value}" for key, value in combination]
        found_variants.append([*overrides, *settings, f'name="{f"{name}-{suffix}"[:64]}"'])
    return found_variants


def _with_root(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a model's recipe with the data directory that `--set data.root=` gives."""
    root = next((text.partition("=")[2] for text in overrides if text.startswith("data.root=")), "")
    data = recipe.data.with_root(str(Path(root).resolve()))
    return recipe.model_copy(update={"data": data})


def _check_comparable(entries: Sequence[Entry], overrides: Sequence[str], vary: Sequence[str]) -> None:
    """Raise UsageError if systems translate between other languages, or overrides apply to no recipe."""
    pairs = {entry.recipe.name: _languages(entry.recipe) for entry in entries if entry.recipe.data.source_language}
    if len(set(pairs.values())) > 1:
        shown = ", ".join(f"{name} ({languages})" for name, languages in pairs.items())
        raise UsageError(f"the systems translate between different languages: {shown}", "compare systems of one pair")
    if any(entry.version is None and entry.stored is None for entry in entries):
        return
    unused = [f"--set {text}" for text in overrides if not text.startswith("data.root=")]
    unused += [f"--vary {text}" for text in vary]
    if unused:
        raise UsageError(
            f"{unused[0]} applies to recipes, but only models are compared", "name a recipe, or leave it out"
        )


def _languages(recipe: Recipe) -> str:
    return f"{primary_language(recipe.data.source_language)} → {primary_language(recipe.data.target_language)}"
