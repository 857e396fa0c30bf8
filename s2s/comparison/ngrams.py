"""What the best system writes and the first one does not, and the other way around."""

from collections.abc import Sequence

from s2s.comparison.measured import SystemResults
from s2s.comparison.test_set import TestSet
from s2s.metrics.ngram_differences import ngram_differences
from s2s.report.figures import NgramDifference

LIMIT = 10  # n-grams of each system


def typical_ngrams(systems: Sequence[SystemResults], test: TestSet) -> list[NgramDifference]:
    """Return n-grams of the first seeds that distinguish the best system from the first.

    If the first is best, they distinguish the last from the first.
    """
    if len(systems) == 1:
        return []
    first = systems[0]
    best = max(systems, key=lambda system: system.score)
    other = best if best is not first else systems[-1]
    outputs = first.first.outputs, other.first.outputs
    of_first, of_other = ngram_differences(*outputs, test.references, test.scoring.word_splitter(), LIMIT)
    names = first.name, other.name
    found = []
    for system, differences in ((other, of_other), (first, of_first)):
        for one in differences:
            own, theirs = ((counts.correct, counts.wrong) for counts in (one.own, one.other))
            counts = (theirs, own) if system is other else (own, theirs)
            found.append(NgramDifference(one.ngram, names, system.name, counts, system.first.outputs[one.line]))
    return found
