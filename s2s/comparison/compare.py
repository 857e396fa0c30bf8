"""Compare systems on one test set: recipes (trained where they are not yet), models of the registry, results of
earlier comparisons.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from s2s.comparison.answers import answers_by_length, asks, right_values
from s2s.comparison.differences import differences
from s2s.comparison.stored import StoredResult, test_digest
from s2s.data.corpus import Corpus
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
    """Raw sentences of a test set, what they are in words, and how many stand in training."""

    sources: list[str]
    references: list[str]
    name: str
    note: str

    @property
    def digest(self) -> str:
        """What makes two test sets the same."""
        return test_digest(self.sources, self.references)


@dataclass(frozen=True, slots=True)
class Entry:
    """A system to compare: its recipe, and its version or stored result."""

    recipe: Recipe
    version: Version | None = None
    stored: StoredResult | None = None


def compare(
    names: Sequence[str], overrides: Sequence[str], *, device: str, wait: bool
) -> tuple[Comparison, list[StoredResult]]:
    """Train what is missing, translate the test set of the first system with all, and put the figures side by side.

    `names`: recipes (patterns allowed: `numbers/*`; the systems are then in the order of their BLEU, the lowest first),
    models, or files of results. Raises: UsageError where there are
    none, DataError where systems were tested on different sentences.
    """
    entries = [_entry(name, overrides) for name in expanded(names)]
    if not entries:
        raise UsageError("nothing to compare", "name recipes, models or results")
    test = _test_set(next((entry.recipe for entry in entries if not entry.stored), entries[0].recipe))
    entries = [
        entry
        if entry.stored or entry.version
        else Entry(
            entry.recipe,
            train(entry.recipe, device=device, wait=wait, resume_unfinished=True),
        )
        for entry in entries
    ]
    with lease(device, wait=wait, command="s2s compare") as leased:
        results = [entry.stored or _evaluated(entry, test, resolve_device(leased)) for entry in entries]
        if any("*" in name for name in names):  # nobody has said in which order
            entries, results = _as_ladder(entries, results)
        example = _example(entries, results, test, resolve_device(leased))
    return figures(results, test, [example] if example else []), results


def _as_ladder(entries: list[Entry], results: list[StoredResult]) -> tuple[list[Entry], list[StoredResult]]:
    """Systems in the order of their BLEU, the lowest first."""
    order = sorted(range(len(results)), key=lambda index: results[index].scores["bleu"].value)
    return [entries[index] for index in order], [results[index] for index in order]


def expanded(names: Sequence[str]) -> list[str]:
    """Replace patterns by the built-in recipes that match them, each once."""
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
        return Entry(parse_recipe(stored.recipe, f"stored result {name}"), stored=stored)
    if name in builtin_recipes() or name.endswith(".toml") or "/" in name:
        return Entry(load_recipe(name, overrides))
    version = Registry.default().resolve(name)
    recipe = parse_recipe(version.card.recipe, f"recipe of {version.reference}")
    return Entry(_with_root(recipe, overrides), version=version)


def _with_root(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a model's recipe with the directory that its data is in now, if one is given."""
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
    return TestSet(sources, references, name, f"{name} · {languages}test: {len(sources):,} pairs, {_overlap(corpus)}")


def _overlap(corpus: Corpus) -> str:
    count = corpus.ledger["splits"]["test"]["overlap"]["source"]["count"]
    return f"{count:,} of their sources also in training" if count else "none of them in training"


def _evaluated(entry: Entry, test: TestSet, device: torch.device) -> StoredResult:
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
        machine=card.machine,
        right_values=right_values(translator, test.sources, test.references) if asks(entry.recipe) else [],
    )


def figures(results: Sequence[StoredResult], test: TestSet, examples: Sequence[Example] = ()) -> Comparison:
    """Compare stored results on a test set. Raises DataError if one was tested on other sentences."""
    for stored in results:
        if stored.test != test.digest:
            raise DataError(
                f"{stored.name} was tested on other sentences than {results[0].name}", "compare it on its own"
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
        )
        for stored, difference in zip(results, paired, strict=True)
    ]
    return Comparison(
        title=" and ".join(stored.name for stored in results) if len(results) <= COLUMNS else f"{len(results)} systems",
        task=test.note,
        systems=systems,
        by_length=(
            answers_by_length(test.sources, test.references, results)
            if all(stored.right_values for stored in results)
            else [bleu_by_length(test.sources, outputs, test.references)]
        ),
        examples=examples,
        notes=_notes(results),
        commands=_commands(results),
    )


def _commands(results: Sequence[StoredResult]) -> list[str]:
    """Suggest what to try next: the best system, with its attention if it has any."""
    best = max(results, key=lambda stored: stored.scores["bleu"].value)
    attends = parse_recipe(best.recipe, best.name).model.has_attention
    shown = " --show-attention" if attends else ""
    return [f"s2s translate {best.name}{shown}", f"s2s models show {best.name}"]


def _notes(results: Sequence[StoredResult]) -> list[str]:
    """How the systems were decoded, and what sets their recipes apart."""
    decoded = sorted({stored.decoding for stored in results})
    notes = [f"decoded with {' or '.join(decoded)}"]
    if len(results) > 1:
        apart = differences([parse_recipe(stored.recipe, stored.name).as_dict() for stored in results])
        if len(results) > COLUMNS:  # values of many would be a thicket
            apart = [line.partition(":")[0] for line in apart]
        notes.append(f"the recipes differ in {'; '.join(apart)}" if apart else "the recipes are the same")
    return notes


def _example(
    entries: Sequence[Entry], results: Sequence[StoredResult], test: TestSet, device: torch.device
) -> Example | None:
    """Return a sentence on which the systems differ, with the heat maps of those that have attention."""
    line = _telling_line(results, test)
    heatmaps = [_heatmap(entry, test.sources[line], device) for entry in entries]
    return Example(test.sources[line], test.references[line], [stored.outputs[line] for stored in results], heatmaps)


def _telling_line(results: Sequence[StoredResult], test: TestSet) -> int:
    """Return the line of the longest source of up to 60 characters that only some systems translate exactly.

    If there is none, return the first line.
    """
    best = 0
    for line, reference in enumerate(test.references):
        right = {stored.outputs[line] == reference for stored in results}
        if len(right) == 2 and len(test.sources[best]) * (best > 0) < len(test.sources[line]) <= 60:
            best = line
    return best


def _heatmap(entry: Entry, source: str, device: torch.device) -> HeatMap | None:
    if entry.version is None or not entry.recipe.model.has_attention:
        return None
    (translation,) = reference_translator(entry.version, device).translate([source], need_attention=True)
    return HeatMap(translation.attention, translation.source_tokens, translation.tokens)
