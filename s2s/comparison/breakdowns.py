"""Scores on buckets of the test lines: by length, or by what suits recall and scenes."""

from collections.abc import Sequence

from s2s.comparison.measured import SystemResults
from s2s.comparison.scenes import scenes_by_objects
from s2s.comparison.stored import StoredResult
from s2s.comparison.test_set import TestSet
from s2s.data.generators.recall import answer_positions
from s2s.decoding.evaluation import first_references
from s2s.metrics.breakdown import Breakdown, lines_by_length, score_buckets
from s2s.metrics.resampling import LineValues
from s2s.metrics.scores import SCORE_NAMES


def breakdowns(systems: Sequence[SystemResults], test: TestSet) -> list[Breakdown]:
    """Return the scores by the length of sources, or of the references of images; or what suits recall and scenes."""
    if test.of_scenes:
        return scenes_by_objects(systems, test)
    if all(run.correct_values for system in systems for run in system.runs):
        return recall_by_length(systems, test)
    buckets = score_buckets(lines_by_length(test.measured), [system.statistics for system in systems])
    name = SCORE_NAMES[test.metric]
    if test.of_images:
        return [Breakdown(name, "reference length", buckets, "characters", "images")]
    return [Breakdown(name, "source length", buckets, "characters")]


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
