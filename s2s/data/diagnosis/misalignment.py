"""Say which lines are not parallel."""

import math

from s2s.data.diagnosis.alignment import PARALLEL, Segment
from s2s.data.diagnosis.features import Floats
from s2s.data.diagnosis.pair_model import PairModel, moments_correlation
from s2s.data.diagnosis.signals import MIN_EVIDENCE
from s2s.data.ledger import EXAMPLES, Example, Extent, Finding

# Correlation of log-lengths below which translations are hardly parallel: it is .88 on Multi30k and .96 on gettext
# catalogues, about 0 if one side is shuffled and -.2 to .3 if it is shifted by a line.
LOW_CORRELATION = 0.3
STANDARD_ERRORS = 3.0
MIN_DEVIATION = 0.2  # of the log-lengths of both sides; texts of about the same length prove nothing
MAX_EXTENTS = 1000  # named in a ledger


class Misalignment:
    """The lines of a corpus that are not parallel."""

    def __init__(self, *, of_translations: bool) -> None:
        """Lines that are unrelated, but not shifted, are wrong only `of_translations`."""
        self._of_translations = of_translations
        self.lines = 0
        self.unrelated = 0  # of them
        self._message = ""  # of the first block
        self._blocks = 0
        self._extents: list[Extent] = []
        self._examples: list[Example] = []

    def add(self, file: str, segments: list[Segment], model: PairModel) -> None:
        """Add the segments of a file."""
        for index, segment in enumerate(segments):
            if not segment.misaligned(model) or (segment.shift is None and not self._of_translations):
                continue
            if not self._blocks:
                after = segments[index - 1] if index and segments[index - 1].state == PARALLEL else None
                self._message = f"{file}: {describe(segment, after)}"
                self._examples = [Example.of(pair) for pair in segment.pairs[:EXAMPLES]]
            self._blocks += 1
            self.lines += segment.lines
            self.unrelated += segment.lines if segment.shift is None else 0
            if len(self._extents) < MAX_EXTENTS:
                self._extents.append(Extent(file, segment.first, segment.last, segment.shift))

    def finding(self, everywhere: Finding | None) -> Finding | None:
        """Return the blocks that are not parallel, or None.

        Return `everywhere`, which says that lengths hardly agree, if no shift explains it.
        """
        if not self._blocks or (everywhere and self.unrelated > self.lines // 2):
            return everywhere
        more = "" if self._blocks == 1 else f"; {self._blocks - 1:,} other blocks are not parallel"
        return Finding("misaligned", self._message + more, self.lines, self._examples, self._extents)


def describe(segment: Segment, parallel: Segment | None) -> str:
    """Say where a segment lies and how its lines are misaligned; `parallel` is the segment before it, if parallel."""
    start = f"parallel until line {parallel.last:,}; from there" if parallel else f"from line {segment.first:,}"
    end = "the end" if segment.to_end else f"line {segment.last:,}"
    if segment.shift is None:
        return f"{start} to {end}, source and target do not belong together"
    lines = f"{abs(segment.shift)} line{'s' if abs(segment.shift) > 1 else ''}"
    return f"{start} to {end}, each target belongs to the source {lines} {'later' if segment.shift > 0 else 'earlier'}"


def low_correlation(moments: Floats, examples: list[Example]) -> Finding | None:
    """Return a finding if the lengths of all pairs, of which `moments` are the sums, hardly agree."""
    count, correlation = int(moments[0]), moments_correlation(moments)
    if count < MIN_EVIDENCE or _deviation(moments) < MIN_DEVIATION:
        return None
    if correlation > LOW_CORRELATION - STANDARD_ERRORS / math.sqrt(count):
        return None
    message = (
        f"the lengths of source and target hardly agree (correlation {correlation:.2f}; translations have .8 or more): "
        "the lines are probably not parallel"
    )
    return Finding("misaligned", message, count, examples)


def _deviation(moments: Floats) -> float:
    """Return the smaller standard deviation of the log-lengths of the two sides."""
    _, source, target, sources, targets, _ = moments / moments[0]
    return math.sqrt(max(0.0, min(sources - source**2, targets - target**2)))
