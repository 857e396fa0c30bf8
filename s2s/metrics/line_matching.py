"""How well each output matches the reference of its own line, and those of other lines.

N: lines.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

SHIFTS = (1, -1, 2, -2, 3, -3)  # from an output to the reference that it matches, in lines
MARGIN = 0.15  # by which an output must match a reference better than its own
MIN_GAIN = 6.0  # minimum total gain of a stretch; a line gains its better match minus its own match and the margin
MIN_DEVIATIONS = 3.0  # standard errors between the matches of lines with their own references and with others


@dataclass(frozen=True, slots=True)
class ShiftedStretch:
    """Consecutive lines whose outputs match the references some lines later, or earlier, better than their own."""

    shift: int  # lines; positive: later
    first: int  # line number
    last: int


class LineMatches:
    """The words of N outputs and of N references, weighted by how few references have them."""

    def __init__(self, outputs: Sequence[Set[str]], references: Sequence[Set[str]]) -> None:
        frequencies = Counter(word for words in references for word in words)
        rarest = math.log(len(references) + 1)
        self._weights = {word: rarest - math.log(frequencies[word] or 1) for words in outputs for word in words}
        self._weights |= {word: rarest - math.log(count) for word, count in frequencies.items()}
        self._outputs, self._references = outputs, references
        self._totals = [[self._sum(words) for words in side] for side in (outputs, references)]

    def _sum(self, words: Set[str]) -> float:
        return math.fsum(map(self._weights.__getitem__, words))

    def match(self, output: int, reference: int) -> float:
        """Return the F1, from 0 to 1, of the weighted words of an output and a reference."""
        total = self._totals[0][output] + self._totals[1][reference]
        return 2 * self._sum(self._outputs[output] & self._references[reference]) / total if total else 0.0

    def shifted_stretch(self) -> ShiftedStretch | None:
        """Return the lines that are most clearly shifted, if any are."""
        own = [self.match(line, line) for line in range(len(self._outputs))]
        stretches = (self._best_stretch(own, shift) for shift in SHIFTS)
        gain, stretch = max(stretches, key=lambda found: found[0])
        return stretch if gain >= MIN_GAIN else None

    def _best_stretch(self, own: Sequence[float], shift: int) -> tuple[float, ShiftedStretch]:
        """Return the largest sum of gains of consecutive lines with a shift, and those lines."""
        best, found, total, first = 0.0, ShiftedStretch(shift, 0, 0), 0.0, 0
        for line in range(max(0, -shift), len(own) - max(0, shift)):
            if total <= 0:
                total, first = 0.0, line
            total += self.match(line, line + shift) - own[line] - MARGIN
            if total > best:
                best, found = total, ShiftedStretch(shift, first + 1, line + 1)
        return best, found

    def is_chance(self) -> bool:
        """Return whether outputs match their own references no better than those half the lines away."""
        differences = list(self._differences())
        mean = math.fsum(differences) / len(differences)
        variance = math.fsum((value - mean) ** 2 for value in differences) / len(differences)
        return mean <= MIN_DEVIATIONS * math.sqrt(variance / len(differences))

    def _differences(self) -> Iterator[float]:
        count = len(self._outputs)
        for line in range(count):
            yield self.match(line, line) - self.match(line, (line + count // 2) % count)
