"""The figures of a comparison: scores with intervals, differences, groups, and how the systems were trained."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import TypeVar

from s2s.comparison.breakdowns import breakdowns
from s2s.comparison.measured import SystemResults
from s2s.comparison.ngrams import typical_ngrams
from s2s.comparison.notes import notes
from s2s.comparison.score_tables import ScoreTable
from s2s.comparison.test_set import TestSet
from s2s.comparison.training_words import training_facts
from s2s.metrics.human_agreement import human_agreement
from s2s.metrics.output_faults import output_faults
from s2s.metrics.ranking import rank_groups
from s2s.metrics.resampling import Floats, LineValues, Statistics, resampled_scores
from s2s.metrics.scores import Score
from s2s.metrics.significance import Significance, paired_test
from s2s.metrics.variance import Estimate, estimate
from s2s.report.figures import Comparison, Difference, Example, ExtraScore, System
from s2s.report.table import COLUMNS

Item = TypeVar("Item")


@dataclass(frozen=True)
class Samples:
    """Scores of each seed of all systems, and their means over the seeds on the same resamples of the lines."""

    systems: Sequence[Sequence[Statistics]]  # of each seed of each system

    @cached_property
    def scores(self) -> list[list[float]]:
        """The scores of each seed of each system."""
        return [[one.score() for one in seeds] for seeds in self.systems]

    @cached_property
    def resampled(self) -> list[Floats]:
        """For each system, the means over its seeds [R]."""
        found = resampled_scores([one for seeds in self.systems for one in seeds])
        starts = [sum(map(len, self.systems[:place])) for place in range(len(self.systems) + 1)]
        return [found[start:end].mean(0) for start, end in pairwise(starts)]

    def estimate(self, place: int) -> Estimate:
        """Estimate the score of a system."""
        return estimate(self.scores[place], self.resampled[place])

    def difference(self, baseline: int, place: int) -> Estimate:
        """Estimate the difference of a system from another."""
        gains = self.resampled[place] - self.resampled[baseline]
        return estimate(self.scores[place], gains, self.scores[baseline])


def summarize(
    systems: Sequence[SystemResults], test: TestSet, examples: Sequence[Example], tables: Sequence[ScoreTable] = ()
) -> Comparison:
    """Compare results on the same test set; the first system is the baseline."""
    return Comparison(
        title=" and ".join(system.name for system in systems) if len(systems) <= COLUMNS else f"{len(systems)} systems",
        task=test.description,
        systems=_systems(systems, test, tables),
        metric=test.metric,
        breakdowns=breakdowns(systems, test, training_facts(systems, test)),
        examples=examples,
        notes=notes(systems, test),
        ngrams=typical_ngrams(systems, test),
    )


def _systems(systems: Sequence[SystemResults], test: TestSet, tables: Sequence[ScoreTable]) -> list[System]:
    """Return the figures of all systems."""
    samples = Samples([system.statistics for system in systems])
    found = _differences(systems, test, samples)
    groups = rank_groups(
        [system.score for system in systems], lambda one, other: samples.difference(one, other).p_value
    )
    tokenizers = {system.training.tokenizer for system in systems if system.training}
    extra = [_extra_scores(tables, system.name, systems[0].name) for system in systems]
    return [
        _system(system, samples.estimate(place), found[place], groups[place] if len(systems) > 1 else None, own,
                one_vocabulary=len(tokenizers) == 1)
        for place, (system, own) in enumerate(zip(systems, extra, strict=True))
    ]  # fmt: skip


def _system(
    system: SystemResults,
    own: Estimate,
    difference: Difference | None,
    group: int | None,
    extra: dict[str, ExtraScore],
    *,
    one_vocabulary: bool,
) -> System:
    """Return the figures of a system: means over its seeds."""
    trainings = [run.training for run in system.runs if run.training]
    training = system.training
    mean = partial(_mean, trainings)
    return System(
        name=system.name,
        scores=_mean_scores(system),
        network=training.network if training else "",
        parameters=training.parameters if training else None,
        seeds=len(system.runs),
        deviations=_deviations(system),
        perplexity=_mean(system.runs, lambda run: run.perplexity) if one_vocabulary else None,
        estimate=own,
        difference=difference,
        group=group,
        extra=extra,
        faults=_mean_faults(system),
        attention=_mean_attention(system),
        updates=_rounded(mean(lambda one: one.updates)),
        tokens=_rounded(mean(lambda one: one.tokens)),
        seconds=mean(lambda one: one.seconds),
        code=", ".join(dict.fromkeys(one.code for one in trainings)),
        command=system.command,
        machine=", ".join(dict.fromkeys(one.describe_machine() for one in trainings)),
    )


def _mean(items: Sequence[Item], value: Callable[[Item], float | None]) -> float | None:
    """Return the mean of a value that all items have; None if one lacks it, or there are none."""
    values = [found for item in items if (found := value(item)) is not None]
    return sum(values) / len(values) if values and len(values) == len(items) else None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _mean_scores(system: SystemResults) -> dict[str, Score]:
    return {
        name: replace(system.first.scores[name], value=sum(values) / len(values))
        for name, values in _score_values(system).items()
    }


def _deviations(system: SystemResults) -> dict[str, float]:
    if len(system.runs) == 1:
        return {}
    return {name: statistics.stdev(values) for name, values in _score_values(system).items()}


def _score_values(system: SystemResults) -> dict[str, list[float]]:
    """Return the values of each score that all seeds have."""
    common = [name for name in system.first.scores if all(name in run.scores for run in system.runs)]
    return {name: [run.scores[name].value for run in system.runs] for name in common}


def _mean_faults(system: SystemResults) -> dict[str, float]:
    """Return the number of outputs with each fault."""
    test = system.test
    sources = [""] * len(test.names) if test.of_images else test.names
    split = test.scoring.word_splitter()
    found = [output_faults(run.outputs, sources, test.references, split) for run in system.runs]
    return {kind: sum(len(own[kind]) for own in found) / len(found) for kind in found[0]}


def _mean_attention(system: SystemResults) -> dict[str, float]:
    """Return the figures of attention; none without attention."""
    found = [run.attention for run in system.runs if run.attention]
    if not found:
        return {}
    figures = {
        "effective_positions": [one.sums.effective_positions for one in found],
        "coverage": [100 * one.sums.coverage for one in found],
        "error_rate": [100 * one.alignment.error_rate for one in found if one.aligned_lines],
    }
    return {kind: sum(values) / len(values) for kind, values in figures.items() if values}


def _differences(systems: Sequence[SystemResults], test: TestSet, samples: Samples) -> list[Difference | None]:
    """Return the difference of each system from the first; None for the first."""
    bootstrap, randomization = _significance(systems, test)
    found: list[Difference | None] = [None]
    for place in range(1, len(systems)):
        own = samples.difference(0, place)
        agreement = human_agreement(own.value, test.metric) if test.is_natural_text else None
        found.append(Difference(own, bootstrap[place - 1], randomization[place - 1], agreement))
    return found


def _significance(
    systems: Sequence[SystemResults], test: TestSet
) -> tuple[Sequence[Significance | None], Sequence[Significance | None]]:
    """Return the outcomes of both of sacrebleu's tests for each system but the first; None with several seeds."""
    if len(systems) == 1 or any(len(system.runs) > 1 for system in systems):
        return [None] * (len(systems) - 1), [None] * (len(systems) - 1)
    first, *others = [system.first.outputs for system in systems]
    run = partial(paired_test, scoring=test.scoring, metric=test.metric)
    return run("bs", first, others, test.references), run("ar", first, others, test.references)


def _extra_scores(tables: Sequence[ScoreTable], name: str, first: str) -> dict[str, ExtraScore]:
    """Return the scores of a system in tables, with their differences from the first system."""
    found = {}
    for table in tables:
        if name not in table.values:
            continue
        own = [LineValues(values) for values in table.values[name]]
        if name == first or first not in table.values:
            found[table.metric] = ExtraScore(Samples([own]).estimate(0).value, None)
        else:
            pair = Samples([[LineValues(values) for values in table.values[first]], own])
            found[table.metric] = ExtraScore(pair.estimate(1).value, pair.difference(0, 1))
    return found
