"""Compare systems on one test set: recipes (trained if necessary), published models, and stored results."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch

from s2s.comparison.differences import differences
from s2s.comparison.entries import Entry, find_entries, system_names
from s2s.comparison.examples import example_lines
from s2s.comparison.recall import count_correct_values, is_recall, recall_by_length
from s2s.comparison.scenes import scene_notes, scenes_by_objects
from s2s.comparison.stored import StoredResult
from s2s.comparison.test_set import TestSet, corpus_test_set, read_test_files
from s2s.data.sources import Image, Pixels, RawSources
from s2s.decoding.evaluation import evaluate, first_references, likelihood
from s2s.decoding.loading import reference_translator
from s2s.devices.leases import lease
from s2s.devices.select import resolve_device
from s2s.errors import DataError
from s2s.io.digests import digest_json
from s2s.metrics.cider import MIN_LINES, TOO_FEW_LINES
from s2s.metrics.length_buckets import LengthBuckets, score_by_length
from s2s.metrics.scores import SCORE_NAMES, SHORT_REFERENCES, check_counts
from s2s.metrics.significance import Difference, paired_bootstrap
from s2s.recipe.load import parse_stored_recipe
from s2s.report.figures import COLUMNS, Comparison, Example, HeatMap, System
from s2s.report.format import use_command
from s2s.training.runs.lifecycle import train

log = logging.getLogger(__name__)

FEW_LINES = 100  # of a test set, below which a p-value means little


def compare(
    names: Sequence[str],
    overrides: Sequence[str],
    *,
    device: str,
    wait: float,
    vary: Sequence[str] = (),
    test_files: str = "",
) -> tuple[Comparison, list[StoredResult]]:
    """Train missing recipes, translate one test set with all systems, and compare the results.

    `names`: recipes, models or files of stored results. A pattern (`numbers/*`) stands for the recipes that match it;
    systems are then sorted by score, lowest first. `vary`: `KEY=a,b`, variants that each recipe stands for.
    `test_files`: `NAME=SOURCE:REFERENCE`; default: the first system's test set.
    Raises: UsageError if there are none, if one is named twice, if languages differ, or if overrides apply to no
    recipe; DataError if a stored result is of another test set.
    """
    entries = find_entries(names, overrides, vary)
    test = read_test_files(test_files, entries[0]) if test_files else None
    entries = [
        entry
        if entry.stored or entry.version
        else replace(entry, version=train(entry.recipe, device=device, wait=wait, resume_unfinished=True))
        for entry in entries
    ]
    test = test or corpus_test_set(entries)
    named = zip(entries, system_names(entries), strict=True)
    with lease(device, wait=wait, command="s2s compare") as leased:
        results = [entry.stored or _evaluate(entry, name, test, resolve_device(leased)) for entry, name in named]
        _check_test_sets(results, test)
        if any("*" in name for name in names):
            order = sorted(range(len(results)), key=lambda index: results[index].scores[test.metric].value)
            entries, results = [entries[index] for index in order], [results[index] for index in order]
        examples = _examples(entries, results, test, resolve_device(leased))
    return compare_results(results, test, examples), results


def _evaluate(entry: Entry, name: str, test: TestSet, device: torch.device) -> StoredResult:
    """Translate and score the test set with a model."""
    version = entry.version
    assert version is not None
    work = "captioning {:,} images" if test.of_images else "translating {:,} lines"
    log.info(f"{version.reference}: {work.format(len(test.sources))}, {entry.recipe.decoding.describe()}")
    translator = reference_translator(version, device)
    found = evaluate(
        translator,
        test.sources,
        test.references,
        decoding=entry.recipe.decoding,
        metrics=test.metrics,
        scenes=test.names if test.of_scenes else (),
    )
    card = version.card
    perplexity, bits_per_byte = likelihood(translator, test.sources, test.references)
    return StoredResult(
        name=name,
        network=entry.recipe.model.describe(),
        recipe=card.recipe,
        recipe_digest=digest_json(card.recipe),
        tokenizer=version.file("tokenizer.model").digest,
        parameters=card.parameters,
        updates=card.training.updates,
        seconds=card.training.seconds,
        tokens_per_second=card.training.tokens_per_second,
        decoding=found.decoding.describe(),
        test=test.digest,
        outputs=found.outputs,
        scores=found.scores,
        perplexity=perplexity,
        bits_per_byte=bits_per_byte,
        versions=card.versions,
        machine=replace(card.machine, threads=card.training.threads),
        command=entry.command,
        pointing=found.pointing,
        correct_values=(
            count_correct_values(translator, test.names, first_references(test.references))
            if is_recall(entry.recipe)
            else []
        ),
    )


def _check_test_sets(results: Sequence[StoredResult], test: TestSet) -> None:
    """Raise DataError if a result is of another test set, or has not one output for each line."""
    for stored in results:
        if stored.test != test.digest:
            raise DataError(
                f"{stored.name} and {results[0].name} have different test sets", "compare systems on the same test set"
            )
        check_counts(stored.outputs, test.references, f"outputs of {stored.name}")


def compare_results(results: Sequence[StoredResult], test: TestSet, examples: Sequence[Example]) -> Comparison:
    """Compare results on the same test set; the first is the baseline."""
    return Comparison(
        title=" and ".join(stored.name for stored in results) if len(results) <= COLUMNS else f"{len(results)} systems",
        task=test.description,
        systems=_systems(results, test),
        metric=test.metric,
        by_length=_by_length(results, test),
        examples=examples,
        notes=_notes(results, test),
        commands=_commands(results, test),
    )


def _systems(results: Sequence[StoredResult], test: TestSet) -> list[System]:
    """Return the figures of all systems, with their differences from the first."""
    paired: list[Difference | None] = [None]
    if len(results) > 1:
        first, *others = [stored.outputs for stored in results]
        paired += paired_bootstrap(first, others, test.references, scoring=test.scoring, metric=test.metric)
    one_vocabulary = len({stored.tokenizer for stored in results}) == 1
    return [
        System(
            name=stored.name,
            network=stored.network,
            parameters=stored.parameters,
            scores=stored.scores,
            perplexity=stored.perplexity if one_vocabulary else None,
            bits_per_byte=stored.bits_per_byte,
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


def _by_length(results: Sequence[StoredResult], test: TestSet) -> list[LengthBuckets]:
    """Return the score by the length of sources, or of the references of images; or what suits recall and scenes."""
    if test.of_scenes:
        return scenes_by_objects(test.names, test.references, results)
    if all(stored.correct_values for stored in results):
        return recall_by_length(test.names, first_references(test.references), results)
    outputs = [stored.outputs for stored in results]
    figure = score_by_length(test.measured, outputs, test.references, scoring=test.scoring, metric=test.metric)
    return [replace(figure, by="reference length", counted="images") if test.of_images else figure]


def _commands(results: Sequence[StoredResult], test: TestSet) -> list[str]:
    """Suggest next commands: translate or caption with the best system, showing its attention if it has one."""
    best = max(results, key=lambda stored: stored.scores[test.metric].value)
    model = parse_stored_recipe(best.recipe, best.name).model
    use = use_command(best.name, of_images=model.of_images)
    return [f"{use}{' --show-attention' if model.has_attention else ''}", f"s2s models show {best.name}"]


def _notes(results: Sequence[StoredResult], test: TestSet) -> list[str]:
    """Describe how the systems were scored and decoded, and in which keys their recipes differ."""
    notes = [SHORT_REFERENCES] if test.metric == "chrf" else []
    if len(test.sources) < FEW_LINES and len(results) > 1:
        notes.append(
            f"a test set of fewer than {FEW_LINES} lines says little: differences may be chance, whatever p is"
        )
    if test.of_images and len(results) > 1:
        notes.append(
            f"p is that of {SCORE_NAMES[test.metric]}, over resamples of the images, each with all its captions; "
            "other scores are not tested"
        )
    if "cider" in test.metrics and len(test.sources) < MIN_LINES:
        notes.append(TOO_FEW_LINES)
    if test.of_scenes:
        notes += scene_notes(test.names, test.references, results)
    decoded = sorted({stored.decoding for stored in results})
    notes.append(f"decoded with {' or '.join(decoded)}")
    if len(results) > 1:
        keys = differences([parse_stored_recipe(stored.recipe, stored.name).as_dict() for stored in results])
        if len(results) > COLUMNS:  # too many values to list
            keys = [line.partition(":")[0] for line in keys]
        notes.append(f"the recipes differ in {'; '.join(keys)}" if keys else "the recipes are the same")
    return notes


def _examples(
    entries: Sequence[Entry], results: Sequence[StoredResult], test: TestSet, device: torch.device
) -> list[Example]:
    """Return sources on which the systems differ.

    The first sentence has the heat maps of the systems with attention, and so have all images.
    """
    lines = example_lines(results, test)
    drawn = list(lines) if test.of_images else list(lines)[:1]
    heatmaps = [_heatmaps(entry, cast(RawSources, [test.sources[line] for line in drawn]), device) for entry in entries]
    return [
        Example(
            test.names[line],
            test.references[line],
            [stored.outputs[line] for stored in results],
            [own[number] for own in heatmaps] if number < len(drawn) else (),
            title,
            _pixels(test.sources[line]),
        )
        for number, (line, title) in enumerate(lines.items())
    ]


def _heatmaps(entry: Entry, sources: RawSources, device: torch.device) -> list[HeatMap] | list[None]:
    """Return the attention of a system for each source; None if it has none."""
    if entry.version is None or not entry.recipe.model.has_attention:
        return [None] * len(sources)
    translator = reference_translator(entry.version, device)
    return [
        HeatMap(one.attention, one.source_tokens, one.tokens, one.grid)
        for one in translator.translate(sources, entry.recipe.decoding, need_attention=True)
    ]


def _pixels(source: str | Image) -> "Pixels | None":
    return None if isinstance(source, str) else source.picture
