"""Compare systems on test sets: recipes (trained if necessary), models, stored results, and outputs of others."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from s2s.comparison.entries import Entry, Request, find_entries
from s2s.comparison.examples import examples
from s2s.comparison.measured import SystemResults, check_fits, measure
from s2s.comparison.recall_demo import recall_demo
from s2s.comparison.score_tables import ScoreTable, read_score_table
from s2s.comparison.summary import summarize
from s2s.comparison.test_set import TestSet, corpus_test_set, read_test_files, with_training
from s2s.devices.leases import lease
from s2s.devices.select import resolve_device
from s2s.errors import UsageError
from s2s.registry.store import Registry
from s2s.report.figures import Comparison
from s2s.report.format import use_command
from s2s.training.runs.lifecycle import train


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison on one test set, with the results that it is made of."""

    comparison: Comparison
    systems: Sequence[SystemResults]


def compare(request: Request, *, device: str, wait: float) -> list[Compared]:
    """Train what is missing, translate each test set with all systems, and compare the results.

    If a pattern (`numbers/*`) stands for some, systems are sorted by score on the first test set, lowest first.
    Raises: UsageError if systems cannot be compared, or test sets, outputs or scores are named wrongly; DataError if
    stored results, outputs or scores do not fit a test set.
    """
    entries = find_entries(request)
    tests = [read_test_files(text, entries) for text in request.tests]
    _check_tests(tests, request)
    tests = tests or [corpus_test_set(entries)]
    tables = [read_score_table(text, [(one.name, len(one.runs)) for one in entries]) for text in request.scores]
    _check_fits(entries, tests, tables)  # before hours of training
    entries = [_trained(entry, device, wait) for entry in entries]
    _refuse_twice(entries)
    tests = [with_training(test, entries) for test in tests]
    has_models = any(run.version for entry in entries for run in entry.runs)
    with lease(device, wait=wait, command="s2s compare") if has_models else nullcontext("cpu") as leased:
        leased_device = resolve_device(leased)
        results = [[measure(entry, test, leased_device) for entry in entries] for test in tests]
        order = _order(results[0], request)
        entries = [entries[index] for index in order]
        return [
            _compare(entries, [own[index] for index in order], test, tables, leased_device)
            for test, own in zip(tests, results, strict=True)
        ]


def _check_fits(entries: Sequence[Entry], tests: Sequence[TestSet], tables: Sequence[ScoreTable]) -> None:
    """Raise DataError if stored results, outputs or scores do not fit a test set."""
    for test in tests:
        for entry in entries:
            check_fits(entry, test)
        for table in tables:
            table.check_lines(len(test.names))


def _check_tests(tests: Sequence[TestSet], request: Request) -> None:
    """Raise UsageError if two test sets share a name, or if outputs or scores could belong to several."""
    for name, count in Counter(test.name for test in tests).items():
        if count > 1:
            raise UsageError(f"two test sets are called {name}", "give each --test a name of its own")
    if len(tests) > 1 and (request.outputs or request.scores):
        option = "--hyp" if request.outputs else "--scores"
        raise UsageError(f"{option} with several test sets", f"compare one test set at a time with {option}")


def _trained(entry: Entry, device: str, wait: float) -> Entry:
    """Return a system whose recipe is trained from all its seeds."""
    if not entry.is_trained_here:
        return entry
    runs = [
        run
        if run.version or run.recipe is None
        else replace(run, version=train(run.recipe, device=device, wait=wait, resume_unfinished=True))
        for run in entry.runs
    ]
    return replace(entry, runs=runs)


def _refuse_twice(entries: Sequence[Entry]) -> None:
    """Raise UsageError if a model takes part twice, as a recipe and by its name."""
    counts = Counter(run.version.reference for entry in entries for run in entry.runs if run.version)
    for reference, count in counts.items():
        if count > 1:
            raise UsageError(f"{reference} is named twice", "name each system once")


def _order(systems: Sequence[SystemResults], request: Request) -> list[int]:
    """Return the places of systems in the order of their scores if a pattern named some, else as they were named."""
    places = list(range(len(systems)))
    if any("*" in name for name in request.names):
        places.sort(key=lambda place: systems[place].score)
    return places


def _compare(
    entries: Sequence[Entry],
    systems: Sequence[SystemResults],
    test: TestSet,
    tables: Sequence[ScoreTable],
    device: torch.device,
) -> Compared:
    """Compare systems on one test set."""
    comparison = summarize(systems, test, examples(entries, systems, test, device), tables)
    commands = _next_commands(entries, systems)
    return Compared(replace(comparison, commands=commands, demo=recall_demo(entries, test)), systems)


def _next_commands(entries: Sequence[Entry], systems: Sequence[SystemResults]) -> list[str]:
    """Suggest next commands: translate or caption with the best model, showing its attention if it has one."""
    pairs = zip(entries, systems, strict=True)
    trained = [(system.score, version) for entry, system in pairs if (version := entry.runs[0].version)]
    if not trained:
        return []
    _, version = max(trained, key=lambda pair: pair[0])
    is_newest = version.number == max(Registry.default().numbers(version.name), default=0)
    name = version.name if is_newest else version.reference
    attention = " --show-attention" if version.card.attention else ""
    return [f"{use_command(name, of_images=version.card.of_images)}{attention}", f"s2s models show {name}"]
