"""N-grams that distinguish two systems: what one writes and the other rarely or never does, right or wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.metrics.cider import Ngram, ngrams
from s2s.metrics.scores import Reference, check_counts, texts_of
from s2s.metrics.training_facts import Splitter

SMOOTHING = 1.0  # occurrences added for each system, as compare-mt does by default
MIN_WRITTEN = 2  # occurrences; once is chance


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """How often the outputs of a system have an n-gram."""

    correct: int  # as often as a reference of the same line has it
    wrong: int  # more often than that

    @property
    def written(self) -> int:
        """All occurrences."""
        return self.correct + self.wrong


@dataclass(frozen=True, slots=True)
class NgramDifference:
    """An n-gram that one system writes more often than the other."""

    ngram: str  # its words, separated by spaces
    own: NgramCounts  # of the system that writes it more often
    other: NgramCounts
    line: int  # the first line in which this system writes it more often

    @property
    def share(self) -> float:
        """Smoothed share of this system: (w + 1) / (w + w' + 2), with w and w' occurrences (Neubig et al. 2019)."""
        return (self.own.written + SMOOTHING) / (self.own.written + self.other.written + 2 * SMOOTHING)


def ngram_differences(
    first: Sequence[str], second: Sequence[str], references: Sequence[Reference], split: Splitter, limit: int
) -> tuple[list[NgramDifference], list[NgramDifference]]:
    """Return up to `limit` n-grams of 1 to 4 words that are typical of the first system, and of the second.

    They are ranked by the smoothed share of the system (`share`), as in compare-mt, which by default counts correct
    n-grams only. Of n-grams that contain one another and have the same counts, only the longest is returned.
    Raises: DataError if systems and references differ in their number of lines, or have none.
    """
    for outputs in (first, second):
        check_counts(outputs, references)
    written: list[Counter[Ngram]] = [Counter(), Counter()]
    correct: list[Counter[Ngram]] = [Counter(), Counter()]
    examples: list[dict[Ngram, int]] = [{}, {}]
    for line, (one, other, reference) in enumerate(zip(first, second, references, strict=True)):
        wanted: Counter[Ngram] = Counter()
        for text in texts_of(reference):
            wanted |= Counter(ngrams(split(text)))
        lines = [Counter(ngrams(split(text))) for text in (one, other)]
        for system, own in enumerate(lines):
            written[system].update(own)
            correct[system].update(own & wanted)
            for ngram in own - lines[1 - system]:
                examples[system].setdefault(ngram, line)

    def counts(system: int, ngram: Ngram) -> NgramCounts:
        right = correct[system][ngram]
        return NgramCounts(right, written[system][ngram] - right)

    def typical(system: int) -> list[NgramDifference]:
        candidates = [
            NgramDifference(" ".join(ngram), counts(system, ngram), counts(1 - system, ngram), line)
            for ngram, line in examples[system].items()
            if written[system][ngram] >= max(MIN_WRITTEN, written[1 - system][ngram] + 1)
        ]
        return _most_typical(candidates, limit)

    return typical(0), typical(1)


def _most_typical(candidates: Sequence[NgramDifference], limit: int) -> list[NgramDifference]:
    """Return the n-grams with the highest shares, none that is part of another one with the same counts."""
    chosen: list[NgramDifference] = []
    for one in sorted(candidates, key=lambda one: (-one.share, -one.own.written, -one.ngram.count(" "), one.ngram)):
        if len(chosen) == limit:
            break
        alike = (other for other in chosen if (other.own, other.other) == (one.own, one.other))
        if not any(f" {one.ngram} " in f" {other.ngram} " for other in alike):
            chosen.append(one)
    return chosen
