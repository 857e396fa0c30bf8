"""Sentences of the test set that show how systems differ."""

from collections.abc import Sequence

from s2s.comparison.stored import StoredResult
from s2s.comparison.test_set import TestSet
from s2s.decoding.evaluation import first_references
from s2s.metrics.scores import sentence_chrf

MAX_LENGTH = 60  # characters of the line whose attention is drawn
SCORED = 2000  # lines that are searched for the worst and the most different outputs


def example_lines(results: Sequence[StoredResult], test: TestSet) -> dict[int, str]:
    """Return lines worth showing, with the reason: the first one suits a picture of attention.

    They are a line that only some systems have exactly, the longest source (of images, the longest reference), the line
    whose outputs differ most in chrF, and the best system's output with the lowest chrF.
    """
    measured, references = test.measured, first_references(test.references)
    lines = {_partly_exact(results, measured, references): "example"}
    longest = max(range(len(measured)), key=lambda line: len(measured[line]))
    lines.setdefault(longest, "the longest reference" if test.of_images else "the longest source")
    scores = [sentence_chrf(stored.outputs[:SCORED], references[:SCORED]) for stored in results]
    if len(results) > 1:
        spread = [max(values) - min(values) for values in zip(*scores, strict=True)]
        lines.setdefault(spread.index(max(spread)), "the largest difference in chrF2")
    best = max(range(len(results)), key=lambda system: results[system].scores[test.metric].value)
    lines.setdefault(scores[best].index(min(scores[best])), f"the lowest chrF2 of {results[best].name}")
    return lines


def _partly_exact(results: Sequence[StoredResult], measured: Sequence[str], references: Sequence[str]) -> int:
    """Return the line that only some systems have exactly, whose text is the longest of up to 60 characters.

    If there is none, return the first line.
    """
    best = 0
    for line, reference in enumerate(references):
        exact = {stored.outputs[line] == reference for stored in results}
        if len(exact) == 2 and len(measured[best]) * (best > 0) < len(measured[line]) <= MAX_LENGTH:
            best = line
    return best
