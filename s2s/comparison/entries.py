"""The systems of a comparison: recipes and their variants, published models, and stored results."""

import logging
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

from s2s.comparison.stored import StoredResult
from s2s.errors import UsageError
from s2s.io.digests import digest_json
from s2s.recipe.languages import primary_language
from s2s.recipe.load import builtin_recipes, load_recipe, parse_stored_recipe
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version

log = logging.getLogger(__name__)

MAX_NAME = 64  # characters of a model's name
VALUE = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+""")  # of `--vary`: brackets and quotes may hold commas


@dataclass(frozen=True, slots=True)
class Entry:
    """A system to compare."""

    command: str  # that repeats its evaluation
    recipe: Recipe
    version: Version | None = None  # None until the recipe is trained
    stored: StoredResult | None = None  # from an earlier comparison


def find_entries(names: Sequence[str], overrides: Sequence[str], vary: Sequence[str]) -> list[Entry]:
    """Resolve names of systems; `vary` holds `KEY=a,b`, variants that each recipe stands for.

    Raises: UsageError if there are none, if one is named twice, if they translate between different languages, or if
    overrides apply to none.
    """
    entries = [entry for name in expand_patterns(names) for entry in _entries(name, overrides, vary)]
    if not entries:
        raise UsageError("nothing to compare", "name recipes, models or results")
    system_names([entry for entry in entries if entry.version or entry.stored])
    _check_tasks(entries)
    _check_languages(entries)
    _check_overrides(entries, overrides, vary)
    return entries


def system_names(entries: Sequence[Entry]) -> list[str]:
    """Return the name of each system: a version's reference if its name is taken.

    Raises: UsageError if two systems share a name.
    """
    names = [entry.stored.name if entry.stored else entry.recipe.name for entry in entries]
    counts = Counter(names)
    names = [
        entry.version.reference if entry.version and counts[name] > 1 else name
        for entry, name in zip(entries, names, strict=True)
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"two systems are called {name}", "name each model and each stored result once")
    return names


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

    `vary` holds `KEY=a,b`; several give all combinations. Commas in brackets or quotes belong to a value.
    Raises: UsageError if one has no key or values, if the key is `name`, or if two variants get the same name.
    """
    if not vary:
        return [list(overrides)]
    settings = [[f"{key}={value}" for key, value in combination] for combination in product(*map(_choices, vary))]
    names = [_variant_name(name, combination) for combination in settings]
    for variant, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"--vary: two variants of {name} are called {variant}", "give each value once")
    return [[*overrides, *one, f'name="{variant}"'] for one, variant in zip(settings, names, strict=True)]


def _choices(text: str) -> list[tuple[str, str]]:
    """Return the key with each of its values: `a=1,2` gives `a`, `1` and `a`, `2`."""
    key, _, values = text.partition("=")
    if key == "name":
        raise UsageError("--vary name: variants are named after their values", "vary another key")
    choices = [(key, value.strip()) for value in VALUE.findall(values) if value.strip()]
    if not (key and choices):
        raise UsageError(f"--vary {text}: expected KEY=VALUE,VALUE")
    return choices


def _variant_name(name: str, settings: Sequence[str]) -> str:
    """Name a variant after its values; a long name is cut and ends with a digest."""
    values = "-".join(setting.partition("=")[2] for setting in settings)
    full = f"{name}-{re.sub(r'[^a-z0-9._-]+', '-', values.lower()).strip('-')}"
    return full if len(full) <= MAX_NAME else f"{full[: MAX_NAME - 9]}-{digest_json(list(settings))[:8]}"


def _with_root(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a model's recipe with the data directory that `--set data.root=` gives."""
    root = next((text.partition("=")[2] for text in overrides if text.startswith("data.root=")), "")
    data = recipe.data.with_root(str(Path(root).resolve()))
    return recipe.model_copy(update={"data": data})


def _check_tasks(entries: Sequence[Entry]) -> None:
    """Raise UsageError if some systems caption images and others translate text."""
    by_task = {entry.recipe.model.of_images: entry.recipe.name for entry in entries}
    if len(by_task) > 1:
        raise UsageError(
            f"{by_task[True]} captions images, but {by_task[False]} translates text", "compare systems of one task"
        )


def _check_languages(entries: Sequence[Entry]) -> None:
    """Raise UsageError if systems translate between different languages."""
    pairs = {entry.recipe.name: _languages(entry.recipe) for entry in entries if entry.recipe.data.source_language}
    if len(set(pairs.values())) > 1:
        shown = ", ".join(f"{name} ({languages})" for name, languages in pairs.items())
        raise UsageError(f"the systems translate between different languages: {shown}", "compare systems of one pair")


def _check_overrides(entries: Sequence[Entry], overrides: Sequence[str], vary: Sequence[str]) -> None:
    """Warn of overrides that do not apply to all systems; raise UsageError if they apply to none."""
    settings = [f"--set {text}" for text in overrides if not text.startswith("data.root=")]
    settings += [f"--vary {text}" for text in vary]
    fixed = [entry.recipe.name for entry in entries if entry.version or entry.stored]
    if not settings or not fixed:
        return
    if len(fixed) == len(entries):
        hint = "name a recipe, or leave it out"
        raise UsageError(f"{settings[0]} applies to recipes, but only models are compared", hint)
    log.warning(f"{settings[0]} applies to recipes only, not to {', '.join(fixed)}")


def _languages(recipe: Recipe) -> str:
    return f"{primary_language(recipe.data.source_language)} → {primary_language(recipe.data.target_language)}"
