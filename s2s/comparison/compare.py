"""Compare systems on one test set: recipes (trained if necessary), published models, and stored results."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from s2s.comparison.differences import differences
from s2s.comparison.examples import example_lines
from s2s.comparison.recall import count_correct_values, is_recall, recall_by_length
from s2s.comparison.stored import StoredResult, test_digest
from s2s.data.prepare import prepare_corpus
from s2s.decoding.evaluation import evaluate, perplexity
from s2s.decoding.loading import reference_translator
from s2s.devices.leases import lease
from s2s.devices.select import resolve_device
from s2s.errors import DataError, UsageError
from s2s.io.digests import digest_json
from s2s.metrics.length_buckets import bleu_by_length
from s2s.metrics.significance import paired_bootstrap
from s2s.recipe.load import builtin_recipes, load_recipe, parse_recipe
from s2s.recipe.recipe import Recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.report.figures import COLUMNS, Comparison, Example, HeatMap, System
from s2s.training.runs.lifecycle import train

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TestSet:
    """A test set."""

    sources: list[str]
    references: list[str]
    description: str  # task, languages, size, overlap with training

    @property
    def digest(self) -> str:
        """Digest that identifies the test set."""
        return test_digest(self.sources, self.references)


@dataclass(frozen=True, slots=True)
class Entry:
    """A system to compare."""

    command: str  # that repeats its evaluation
    recipe: Recipe
    version: Version | None = None  # None until the recipe is trained
    stored: StoredResult | None = None  # from an earlier comparison


def compare(
    names: Sequence[str], overrides: Sequence[str], *, device: str, wait: bool
) -> tuple[Comparison, list[StoredResult]]:
    """Train missing recipes, translate the first system's test set with all systems, and compare the results.

    `names`: recipes, models or files of stored results. A pattern (`numbers/*`) stands for the recipes that match it;
    systems are then sorted by BLEU, lowest first.
    Raises: UsageError if there are none, DataError if a stored result is of another test set.
    """
    entries = [_entry(name, overrides) for name in expand_patterns(names)]
    if not entries:
        raise UsageError("nothing to compare", "name recipes, models or results")
    test = _test_set(next((entry.recipe for entry in entries if not entry.stored), entries[0].recipe))
    entries = [
        entry
        if entry.stored or entry.version
        else replace(entry, version=train(entry.recipe, device=device, wait=wait, resume_unfinished=True))
        for entry in entries
    ]
    with lease(device, wait=wait, command="s2s compare") as leased:
        results = [entry.stored or _evaluate(entry, test, resolve_device(leased)) for entry in entries]
        if any("*" in name for name in names):
            order = sorted(range(len(results)), key=lambda index: results[index].scores["bleu"].value)
            entries, results = [entries[index] for index in order], [results[index] for index in order]
        examples = _examples(entries, results, test, resolve_device(leased))
    return compare_results(results, test, examples), results


def expand_patterns(names: Sequence[str]) -> list[str]:
    """Replace patterns by the built-in recipes that match them; remove duplicates."""
    found = []
    for name in names:
        matches = [known for known in builtin_recipes() if fnmatchcase(known, name)]
        if not matches and "*" in name:
            raise UsageError(f"no recipe matches {name}", "see s2s recipes list")
        found += matches or [name]
    return list(dict.fromkeys(found))


def _entry(name: str, overrides: Sequence[str]) -> Entry:
    """Resolve a name: the file of a stored result, a recipe, or a model."""
    if name.endswith(".json"):
        stored = StoredResult.read(Path(name))
        return Entry(stored.command, parse_recipe(stored.recipe, f"stored result {name}"), stored=stored)
    settings = [part for override in overrides for part in ("--set", override)]
    command = shlex.join(["s2s", "compare", name, *settings])
    if name in builtin_recipes() or name.endswith(".toml") or "/" in name:
        return Entry(command, load_recipe(name, overrides))
    version = Registry.default().resolve(name)
    recipe = parse_recipe(version.card.recipe, f"recipe of {version.reference}")
    return Entry(command, _with_root(recipe, overrides), version)


def _with_root(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a model's recipe with the data directory that `--set data.root=` gives."""
    root = next((text.partition("=")[2] for text in overrides if text.startswith("data.root=")), "")
    data = recipe.data.with_root(str(Path(root).resolve()))
    return recipe.model_copy(update={"data": data})


def _test_set(recipe: Recipe) -> TestSet:
    corpus = prepare_corpus(recipe.data, recipe.tokenizer)
    split = corpus.split("test")
    sources, references = split.texts(range(len(split)))
    data = recipe.data
    languages = f"{data.source_language} → {data.target_language} · " if data.source_language else ""
    name = data.generator.name if data.kind == "generator" else recipe.name.rpartition("-")[0] or recipe.name
    count = corpus.test_overlap
    overlap = f"{count:,} of their sources also in training" if count else "none of them in training"
    return TestSet(sources, references, f"{name} · {languages}test: {len(sources):,} pairs, {overlap}")


def _evaluate(entry: Entry, test: TestSet, device: torch.device) -> StoredResult:
    """Translate and score the test set with a model."""
    version = entry.version
    assert version is not None
    log.info(f"{version.reference}: translating {len(test.sources):,} lines, {entry.recipe.decoding.describe()}")
    translator = reference_translator(version, device)
    found = evaluate(translator, test.sources, test.references, decoding=entry.recipe.decoding)
    card = version.card
    return StoredResult(
        name=version.name,
        network=entry.recipe.model.describe(),
        recipe=card.recipe,
        recipe_digest=digest_json(card.recipe),
        parameters=card.parameters,
        updates=card.training.updates,
        seconds=card.training.seconds,
        tokens_per_second=card.training.tokens_per_second,
        decoding=found.decoding.describe(),
        test=test.digest,
        outputs=found.outputs,
        scores=found.scores,
        perplexity=perplexity(translator, test.sources, test.references),
        versions=card.versions,
        machine=replace(card.machine, threads=card.training.threads),
        command=entry.command,
        correct_values=(
            count_correct_values(translator, test.sources, test.references) if is_recall(entry.recipe) else []
        ),
    )


def compare_results(results: Sequence[StoredResult], test: TestSet, examples: Sequence[Example] = ()) -> Comparison:
    """Compare results on a test set; the first is the baseline. Raises DataError if one is of another test set."""
    for stored in results:
        if stored.test != test.digest:
            raise DataError(
                f"{stored.name} and {results[0].name} have different test sets", "compare systems on the same test set"
            )
    outputs = [stored.outputs for stored in results]
    paired = [None, *paired_bootstrap(outputs[0], outputs[1:], test.references)] if len(results) > 1 else [None]
    systems = [
        System(
            name=stored.name,
            network=stored.network,
            parameters=stored.parameters,
            scores=stored.scores,
            perplexity=stored.perplexity,
            updates=stored.updates,
            seconds=stored.seconds,
            tokens_per_second=stored.tokens_per_second,
            difference=difference,
            code=stored.code,
            command=stored.command,
            machine=stored.describe_machine(),
        )
        for stored, difference in zip(results, paired, strict=True)
    ]
    return Comparison(
        title=" and ".join(stored.name for stored in results) if len(results) <= COLUMNS else f"{len(results)} systems",
        task=test.description,
        systems=systems,
        by_length=(
            recall_by_length(test.sources, test.references, results)
            if all(stored.correct_values for stored in results)
            else [bleu_by_length(test.sources, outputs, test.references)]
        ),
        examples=examples,
        notes=_notes(results),
        commands=_commands(results),
    )


def _commands(results: Sequence[StoredResult]) -> list[str]:
    """Suggest next commands: translate with the best system, showing its attention if it has one."""
    best = max(results, key=lambda stored: stored.scores["bleu"].value)
    has_attention = parse_recipe(best.recipe, best.name).model.has_attention
    return [f"s2s translate {best.name}{' --show-attention' if has_attention else ''}", f"s2s models show {best.name}"]


def _notes(results: Sequence[StoredResult]) -> list[str]:
    """Describe how the systems were decoded and in which keys their recipes differ."""
    decoded = sorted({stored.decoding for stored in results})
    notes = [f"decoded with {' or '.join(decoded)}"]
    if len(results) > 1:
        keys = differences([parse_recipe(stored.recipe, stored.name).as_dict() for stored in results])
        if len(results) > COLUMNS:  # too many values to list
            keys = [line.partition(":")[0] for line in keys]
        notes.append(f"the recipes differ in {'; '.join(keys)}" if keys else "the recipes are the same")
    return notes


def _examples(
    entries: Sequence[Entry], results: Sequence[StoredResult], test: TestSet, device: torch.device
) -> list[Example]:
    """Return sentences on which the systems differ; the first with the heat maps of those that have attention."""
    return [
        Example(
            test.sources[line],
            test.references[line],
            [stored.outputs[line] for stored in results],
            [_heatmap(entry, test.sources[line], device) for entry in entries] if number == 0 else (),
            title,
        )
        for number, (line, title) in enumerate(example_lines(results, test.sources, test.references).items())
    ]


def _heatmap(entry: Entry, source: str, device: torch.device) -> HeatMap | None:
    if entry.version is None or not entry.recipe.model.has_attention:
        return None
    (translation,) = reference_translator(entry.version, device).translate([source], need_attention=True)
    return HeatMap(translation.attention, translation.source_tokens, translation.tokens)
