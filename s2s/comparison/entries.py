"""The systems of a comparison: recipes and their variants, published models, stored results, and outputs of others."""

import logging
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from s2s.comparison.differences import IGNORED
from s2s.comparison.stored import NAME, StoredResult
from s2s.comparison.variants import expand_patterns, variants
from s2s.errors import UsageError
from s2s.io.digests import digest_json
from s2s.recipe.flat import flattened
from s2s.recipe.languages import primary_language
from s2s.recipe.load import builtin_recipes, load_recipe, parse_stored_recipe
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.text.parallel import read_texts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to compare, as the command line says it."""

    names: Sequence[str] = ()  # recipes, models, files of stored results
    overrides: Sequence[str] = ()  # KEY=VALUE, of recipes
    vary: Sequence[str] = ()  # KEY=A,B: variants that each recipe stands for
    seeds: int = 1  # trainings of each recipe
    tests: Sequence[str] = ()  # NAME=SOURCE:REFERENCE; by default the test split of the first system
    outputs: Sequence[str] = ()  # NAME=FILE, of other systems
    scores: Sequence[str] = ()  # METRIC=FILE, tables of scores per line


@dataclass(frozen=True, slots=True)
class Run:
    """A training of a system, or results of it."""

    recipe: Recipe | None = None  # None: another toolkit's system
    version: Version | None = None  # None until the recipe is trained
    stored: Sequence[StoredResult] = ()  # from earlier comparisons, on different test sets
    file: str = ""  # of another system's outputs
    outputs: Sequence[str] = ()  # its lines


@dataclass(frozen=True, slots=True)
class Entry:
    """A system to compare."""

    name: str
    command: str  # that repeats its evaluation
    runs: Sequence[Run] = field(default_factory=list)  # one for each seed

    @property
    def recipe(self) -> Recipe | None:
        """The recipe, that of the first seed; None for another toolkit's system."""
        return self.runs[0].recipe

    @property
    def is_trained_here(self) -> bool:
        """Whether the system is a recipe or a model, not stored results or outputs."""
        return not (self.runs[0].stored or self.runs[0].file)


def find_entries(request: Request) -> list[Entry]:
    """Resolve the systems of a request.

    Raises: UsageError if there are none, if one is named twice, if they translate between different languages, or if
    overrides, variants or seeds apply to none.
    """
    named = [entry for name in expand_patterns(request.names) for entry in _entries(name, request)]
    entries = _distinct_names([*_merge_stored(named), *(_output_entry(text, request) for text in request.outputs)])
    if not entries:
        raise UsageError("nothing to compare", "name recipes, models, results or outputs")
    recipes = [(entry.name, entry.recipe) for entry in entries if entry.recipe]
    _check_tasks(recipes)
    _check_languages(recipes)
    _check_settings(entries, request)
    return entries


def _entries(name: str, request: Request) -> list[Entry]:
    """Resolve a name: the file of a stored result, a recipe with its variants, or a model."""
    if name.endswith(".json"):
        stored = StoredResult.read(Path(name))
        recipe = None
        if stored.training:
            recipe = _with_root(parse_stored_recipe(stored.training.recipe, f"recipe of {name}"), request.overrides)
        return [Entry(stored.name, stored.command, [Run(recipe, stored=[stored])])]
    if name in builtin_recipes() or name.endswith(".toml") or "/" in name:
        base = load_recipe(name, request.overrides).name
        return [_recipe_entry(name, own, request) for own in variants(base, request.overrides, request.vary)]
    version = Registry.default().resolve(name)
    recipe = parse_stored_recipe(version.card.recipe, f"recipe of {version.reference}")
    run = Run(_with_root(recipe, request.overrides), version)
    return [Entry(recipe.name, _command(request, name, *_options("--set", request.overrides)), [run])]


def _recipe_entry(name: str, settings: Sequence[str], request: Request) -> Entry:
    """Return the system of a recipe with its settings; the seeds follow that of the recipe."""
    recipe = load_recipe(name, settings)
    first = recipe.training.seed
    others = [load_recipe(name, [*settings, f"training.seed={first + place}"]) for place in range(1, request.seeds)]
    seeds = ["--seeds", str(request.seeds)] if request.seeds > 1 else []
    command = _command(request, name, *_options("--set", settings), *seeds)
    return Entry(recipe.name, command, [Run(own) for own in (recipe, *others)])


def _output_entry(text: str, request: Request) -> Entry:
    """Return the system whose outputs a file holds: `NAME=FILE`. It is read before anything is trained."""
    name, _, file = text.partition("=")
    if not (NAME.fullmatch(name) and file):
        raise UsageError(f"--hyp {text}: expected NAME=FILE", "such as --hyp opus=opus.en")
    return Entry(name, _command(request, "--hyp", text), [Run(file=file, outputs=read_texts(file))])


def _command(request: Request, *arguments: str) -> str:
    """Return the command that compares one system on the test sets of a request."""
    return shlex.join(["s2s", "compare", *arguments, *_options("--test", request.tests)])


def _options(option: str, values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (option, value)]


def _merge_stored(entries: Sequence[Entry]) -> list[Entry]:
    """Merge the stored results of the same system: those of one seed on several test sets, and several seeds.

    Raises: UsageError if results of one name are of different recipes, or of the same seed and test set.
    """
    merged: dict[str, list[Run]] = {}
    for entry in entries:
        if entry.runs[0].stored:
            merged.setdefault(entry.name, []).append(entry.runs[0])
    result: list[Entry] = []
    for entry in entries:
        if not entry.runs[0].stored:
            result.append(entry)
        elif runs := merged.pop(entry.name, None):
            result.append(Entry(entry.name, entry.command, _by_seed(entry.name, runs)))
    return result


def _by_seed(name: str, runs: Sequence[Run]) -> list[Run]:
    """Merge the results of each seed of a system."""
    rename = "rename one: key name of its file"
    if len({_recipe_digest(run.recipe) for run in runs}) > 1:
        raise UsageError(f"the results called {name} are of different recipes", rename)
    by_seed: dict[int | None, list[StoredResult]] = {}
    for run in runs:
        training = run.stored[0].training
        by_seed.setdefault(training.seed if training else None, []).extend(run.stored)
    for seed, own in by_seed.items():
        if len({stored.test for stored in own}) < len(own):
            told = "" if seed is None else f" with seed {seed}"
            hint = f"name each stored result once, or {rename}"
            raise UsageError(f"two results of {name}{told} on one test set", hint)
    return [replace(runs[0], stored=own) for own in by_seed.values()]


def _recipe_digest(recipe: Recipe | None) -> str:
    """Return a digest of what changes a recipe's results, but for the seed (none: another toolkit's system)."""
    values = flattened(recipe.as_dict()) if recipe else {}
    return digest_json({key: value for key, value in values.items() if key not in {*IGNORED, "training.seed"}})


def _distinct_names(entries: Sequence[Entry]) -> list[Entry]:
    """Name a version by its reference if another system has its name. Raises UsageError if two systems share a name."""
    counts = Counter(entry.name for entry in entries)

    def named(entry: Entry) -> Entry:
        version = entry.runs[0].version
        return Entry(version.reference, entry.command, entry.runs) if version and counts[entry.name] > 1 else entry

    found = [named(entry) for entry in entries]
    for name, count in Counter(entry.name for entry in found).items():
        if count > 1:
            raise UsageError(f"two systems are called {name}", "name each system once")
    return found


def _with_root(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a stored recipe with the data directory that `--set data.root=` gives."""
    root = next((text.partition("=")[2] for text in overrides if text.startswith("data.root=")), "")
    data = recipe.data.with_root(str(Path(root).resolve()))
    return recipe.model_copy(update={"data": data})


def _check_tasks(recipes: Sequence[tuple[str, Recipe]]) -> None:
    """Raise UsageError if some systems caption images and others translate text."""
    by_task = {recipe.model.of_images: name for name, recipe in recipes}
    if len(by_task) > 1:
        raise UsageError(
            f"{by_task[True]} captions images, but {by_task[False]} translates text", "compare systems of one task"
        )


def _check_languages(recipes: Sequence[tuple[str, Recipe]]) -> None:
    """Raise UsageError if systems translate between different languages."""
    pairs = {name: _languages(recipe) for name, recipe in recipes if recipe.data.source_language}
    if len(set(pairs.values())) > 1:
        shown = ", ".join(f"{name} ({languages})" for name, languages in pairs.items())
        raise UsageError(f"the systems translate between different languages: {shown}", "compare systems of one pair")


def _check_settings(entries: Sequence[Entry], request: Request) -> None:
    """Warn of settings that do not apply to all systems; raise UsageError if they apply to none."""
    settings = list(_recipe_settings(request))
    fixed = [entry.name for entry in entries if entry.runs[0].version or not entry.is_trained_here]
    if not settings or not fixed:
        return
    if len(fixed) == len(entries):
        raise UsageError(
            f"{settings[0]} applies to recipes, but none is compared", "name a recipe, or leave the option out"
        )
    log.warning(f"{settings[0]} applies to recipes only, not to {', '.join(fixed)}")


def _recipe_settings(request: Request) -> Iterator[str]:
    """Yield the options that apply to recipes alone."""
    yield from (f"--set {text}" for text in request.overrides if not text.startswith("data.root="))
    yield from (f"--vary {text}" for text in request.vary)
    if request.seeds > 1:
        yield f"--seeds {request.seeds}"


def _languages(recipe: Recipe) -> str:
    return f"{primary_language(recipe.data.source_language)} → {primary_language(recipe.data.target_language)}"
