"""F-measure of words by their frequency in training, as in compare-mt (Neubig et al. 2019)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.metrics.scores import Reference, check_counts, first_references
from s2s.metrics.training_facts import FREQUENCIES, TrainingFacts


@dataclass(frozen=True, slots=True)
class WordAccuracy:
    """How many words of a system are right."""

    matches: int  # words of outputs that their references have
    written: int  # words of outputs
    wanted: int  # words of references

    @property
    def f1(self) -> float:
        """Harmonic mean of precision, matches / written, and recall, matches / wanted, in percent; 0 without words."""
        return 200 * self.matches / max(self.written + self.wanted, 1)


@dataclass(frozen=True, slots=True)
class WordFrequency:
    """Words that are about equally frequent in training."""

    label: str  # occurrences in training targets: "not in training", "1–4"
    systems: tuple[WordAccuracy, ...]

    @property
    def words(self) -> int:
        """Number of words of the references."""
        return self.systems[0].wanted


def word_accuracy(
    systems: Sequence[Sequence[str]], references: Sequence[Reference], facts: TrainingFacts
) -> list[WordFrequency]:
    """Return the accuracy of at least one system by the frequency of words in training, without empty buckets.

    A word of an output matches as often as the first reference of the same line has it, wherever it stands.
    `facts` must have been collected for references and outputs.
    Raises: DataError if systems and references differ in their number of lines, or have none.
    """
    for outputs in systems:
        check_counts(outputs, references)
    wanted = [Counter(facts.split(text)) for text in first_references(references)]
    in_references = _by_frequency(wanted, facts)
    counts = []
    for outputs in systems:
        written = [Counter(facts.split(output)) for output in outputs]
        matches = [own & line for own, line in zip(written, wanted, strict=True)]
        counts.append((_by_frequency(matches, facts), _by_frequency(written, facts)))
    found = []
    for label, words in in_references.items():
        accuracies = tuple(WordAccuracy(matches[label], written[label], words) for matches, written in counts)
        if words or any(one.written for one in accuracies):
            found.append(WordFrequency(label, accuracies))
    return found


def _by_frequency(lines: Sequence[Counter[str]], facts: TrainingFacts) -> dict[str, int]:
    """Return how many words of each frequency lines have, which are given as the counts of their words."""
    totals = dict.fromkeys(FREQUENCIES, 0)
    for line in lines:
        for word, count in line.items():
            totals[facts.frequency([word])] += count
    return totals
