"""Scores on buckets of the test lines: by length, words, names, overlap, or by what suits recall and scenes."""

from collections.abc import Sequence

from s2s.comparison.measured import SystemResults
from s2s.comparison.scenes import scenes_by_objects
from s2s.comparison.stored import StoredResult
from s2s.comparison.test_set import TestSet
from s2s.data.generators.recall import answer_positions
from s2s.metrics.breakdown import Breakdown, Bucket, lines_by_length, score_buckets
from s2s.metrics.line_groups import LineGroup, by_capitals, by_digits, by_overlap, by_rarest_word
from s2s.metrics.resampling import LineValues
from s2s.metrics.scores import SCORE_NAMES, first_references
from s2s.metrics.training_facts import TrainingFacts
from s2s.metrics.word_accuracy import word_accuracy


def breakdowns(systems: Sequence[SystemResults], test: TestSet, facts: TrainingFacts | None) -> list[Breakdown]:
    """Return the score by length first, then by other properties of the lines; or what suits recall and scenes.

    `facts`: what training had of the test set; None if unknown.
    """
    if test.of_scenes:
        return scenes_by_objects(systems, test)
    if all(run.correct_values for system in systems for run in system.runs):
        return recall_by_length(systems, test)
    statistics = [system.statistics for system in systems]
    name = SCORE_NAMES[test.metric]
    longest = facts.longest_source if facts else None
    by_length = score_buckets(lines_by_length(test.measured, longest), statistics)
    if test.of_images:
        return [Breakdown(name, "reference length", by_length, "characters", "images")]
    found = [Breakdown(name, "source length", by_length, "characters")]
    for by, groups in _line_groups(test, facts).items():
        if len(groups) > 1:
            lines = {group.label: group.lines for group in groups}
            found.append(Breakdown(name, by, score_buckets(lines, statistics)))
    return [*found, _words_by_frequency(systems, test, facts)] if facts else found


def _line_groups(test: TestSet, facts: TrainingFacts | None) -> dict[str, list[LineGroup]]:
    """Return groups of lines by property."""
    groups = {
        "numbers": by_digits(test.names),
        "names": by_capitals(test.names, test.references, *test.languages),
    }
    if facts:
        groups = {
            "rarest word of the reference": by_rarest_word(test.references, facts),
            **groups,
            "overlap with training": by_overlap(test.names, facts),
        }
    return groups


def _words_by_frequency(systems: Sequence[SystemResults], test: TestSet, facts: TrainingFacts) -> Breakdown:
    """Return the F-measure of words by their frequency in training, as the mean over the seeds."""
    found = word_accuracy([run.outputs for system in systems for run in system.runs], test.references, facts)

    def means(values: Sequence[float]) -> tuple[float, ...]:
        rest = iter(values)
        return tuple(sum(next(rest) for _ in system.runs) / len(system.runs) for system in systems)

    buckets = [Bucket(one.label, one.words, means([system.f1 for system in one.systems])) for one in found if one.words]
    return Breakdown("F1 of words", "frequency in training", buckets, counted="words")


def recall_by_length(systems: Sequence[SystemResults], test: TestSet) -> list[Breakdown]:
    """Return two percentages by length: correct values given their keys, and completely correct answers."""
    references = first_references(test.references)
    by_length: dict[int, list[int]] = {}
    for line, source in enumerate(test.names):
        by_length.setdefault(len(source.split()), []).append(line)
    lines = {f"{tokens:,}": members for tokens, members in sorted(by_length.items())}
    asked = [len(answer_positions(reference)) for reference in references]
    values = [[_percentages(run.correct_values, asked) for run in system.runs] for system in systems]
    answers = [[_percentages(_exact(run, references)) for run in system.runs] for system in systems]
    return [
        Breakdown("% of values correct, given their keys", "source length", score_buckets(lines, values), "tokens"),
        Breakdown("% of answers completely correct", "source length", score_buckets(lines, answers), "tokens"),
    ]


def _exact(run: StoredResult, references: Sequence[str]) -> list[int]:
    return [int(output == reference) for output, reference in zip(run.outputs, references, strict=True)]


def _percentages(counts: Sequence[int], totals: Sequence[int] | None = None) -> LineValues:
    return LineValues([100 * count for count in counts], totals)
