"""Lines of the test set that show how systems differ."""

from collections.abc import Sequence

from s2s.comparison.stored import StoredResult
from s2s.comparison.test_set import TestSet
from s2s.metrics.scores import Reference, sentence_chrf, texts_of

MAX_LENGTH = 60  # characters of the line whose attention is drawn
SCORED = 2000  # lines that are searched for the worst and the most different outputs
MORE_IMAGES = 3  # images with large differences that are shown beside the one with the largest


def example_lines(results: Sequence[StoredResult], test: TestSet) -> dict[int, str]:
    """Return lines worth showing, with the reason: the first one suits a picture of attention.

    They are a line that only some systems have exactly, the longest source (of images, the longest reference), the line
    whose outputs differ most in chrF (of images, up to four), and the best system's output with the lowest chrF.
    """
    measured, references = test.measured, test.references
    lines = {_partly_exact(results, measured, references): "example"}
    longest = max(range(len(measured)), key=lambda line: len(measured[line]))
    lines.setdefault(longest, "the longest reference" if test.of_images else "the longest source")
    scores = [sentence_chrf(stored.outputs[:SCORED], references[:SCORED]) for stored in results]
    if len(results) > 1:
        spread = [max(values) - min(values) for values in zip(*scores, strict=True)]
        most, *others = sorted(range(len(spread)), key=lambda line: -spread[line])
        lines.setdefault(most, "the largest difference in chrF2")
        for line in others[:MORE_IMAGES] if test.of_images else []:
            if spread[line]:
                lines.setdefault(line, "another large difference in chrF2")
    best = max(range(len(results)), key=lambda system: results[system].scores[test.metric].value)
    lines.setdefault(scores[best].index(min(scores[best])), f"the lowest chrF2 of {results[best].name}")
    return lines


def _partly_exact(results: Sequence[StoredResult], measured: Sequence[str], references: Sequence[Reference]) -> int:
    """Return the line that only some systems have exactly, whose text is the longest of up to 60 characters.

    If there is none, return the first line.
    """
    best = 0
    for line, reference in enumerate(references):
        exact = {stored.outputs[line] in texts_of(reference) for stored in results}
        if len(exact) == 2 and len(measured[best]) * (best > 0) < len(measured[line]) <= MAX_LENGTH:
            best = line
    return best
