"""Variants of recipes: patterns of names, and values of keys that are varied."""

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product

from s2s.errors import UsageError
from s2s.io.digests import digest_json
from s2s.recipe.load import builtin_recipes

MAX_NAME = 64  # characters of a model's name
VALUE = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+""")  # of `--vary`: brackets and quotes may hold commas


def expand_patterns(names: Sequence[str]) -> list[str]:
    """Replace patterns by the built-in recipes that match them; remove duplicates."""
    found = []
    for name in names:
        matches = [known for known in builtin_recipes() if fnmatchcase(known, name)]
        if not matches and "*" in name:
            raise UsageError(f"no recipe matches {name}", "see s2s recipes list")
        found += matches or [name]
    return list(dict.fromkeys(found))


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
