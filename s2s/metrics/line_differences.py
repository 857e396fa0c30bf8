"""The lines on which two systems differ most."""

from collections.abc import Sequence
from dataclasses import dataclass

from s2s.metrics.scores import Reference, check_counts, sentence_chrf


@dataclass(frozen=True, slots=True)
class LineDifference:
    """A line on which two systems score differently."""

    line: int
    first: float  # chrF2 of the first system's output
    second: float

    @property
    def difference(self) -> float:
        """Points by which the second system is better."""
        return self.second - self.first


def line_differences(
    first: Sequence[str], second: Sequence[str], references: Sequence[Reference], limit: int
) -> tuple[list[LineDifference], list[LineDifference]]:
    """Return up to `limit` lines that the second system wins most clearly in sentence chrF, and as many that it loses.

    Raises: DataError if systems and references differ in their number of lines, or have none.
    """
    for outputs in (first, second):
        check_counts(outputs, references)
    lines = [line for line, (one, other) in enumerate(zip(first, second, strict=True)) if one != other]
    wanted = [references[line] for line in lines]
    scores = [sentence_chrf([outputs[line] for line in lines], wanted) for outputs in (first, second)]
    found = sorted(map(LineDifference, lines, *scores), key=lambda one: -one.difference)
    wins = [one for one in found if one.difference > 0]
    losses = [one for one in reversed(found) if one.difference < 0]
    return wins[:limit], losses[:limit]
