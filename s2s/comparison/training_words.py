"""Read from the corpus how often training has the words of a test set."""

import logging
from collections.abc import Iterator, Sequence

from s2s.comparison.measured import SystemResults
from s2s.comparison.test_set import TestSet
from s2s.data.split import Split
from s2s.metrics.scores import texts_of
from s2s.metrics.training_facts import TrainingFacts

log = logging.getLogger(__name__)

MAX_PAIRS = 1_000_000  # of a training split that is read; 30 µs a pair
GROUP = 2048  # pairs read at once


def training_facts(systems: Sequence[SystemResults], test: TestSet) -> TrainingFacts | None:
    """Return how often training has the words and n-grams of the test set; None if unknown.

    Unknown for images, without a corpus, and for more than a million pairs, which would take minutes to read.
    """
    if test.corpus is None or test.of_images:
        return None
    split = test.corpus.split("train")
    if len(split) > MAX_PAIRS:
        log.info(f"{len(split):,} training pairs are too many to compare their words with the test set's")
        return None
    targets = [text for reference in test.references for text in texts_of(reference)]
    targets += [output for system in systems for run in system.runs for output in run.outputs]
    return TrainingFacts.of(_pairs(split), test.names, targets, test.scoring.word_splitter())


def _pairs(split: Split) -> Iterator[tuple[str, str]]:
    for start in range(0, len(split), GROUP):
        yield from zip(*split.texts(range(start, min(start + GROUP, len(split)))), strict=True)
