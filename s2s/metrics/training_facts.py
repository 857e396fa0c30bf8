"""How much of a test set occurs in the training pairs: its words (counted), its sources and their 4-grams."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Self

FREQUENCIES = {  # minimum occurrences in training
    "not in training": 0,
    "1–4": 1,
    "5–19": 5,
    "20–99": 20,
    "100–999": 100,
    "1,000 or more": 1000,
}
LABELS, MINIMA = [*FREQUENCIES], [*FREQUENCIES.values()]
Splitter = Callable[[str], Sequence[str]]  # a text into words, as `Scoring.word_splitter` returns
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """How much of a test set occurs in the training pairs. Texts are compared as words, as `split` returns them."""

    split: Splitter
    counts: Mapping[str, int]  # occurrences in training targets of each word of the test set's target texts
    sources: Set[Words]  # sources of the test set that are also sources in training
    ngrams: Set[Words]  # 4-grams of the test set's sources that occur in training sources
    longest_source: int  # characters of the longest training source

    @classmethod
    def of(
        cls, pairs: Iterable[tuple[str, str]], sources: Iterable[str], targets: Iterable[str], split: Splitter
    ) -> Self:
        """Read training pairs of source and target once; memory depends on the test set alone.

        `sources`: of the test set. `targets`: all target texts whose words will be looked up: references, and outputs.
        """
        counts = {word: 0 for target in targets for word in split(target)}
        tested = {tuple(split(source)) for source in sources} - {()}
        ngrams = {ngram for words in tested for ngram in four_grams(words)}
        same: set[Words] = set()
        seen: set[Words] = set()
        longest = 0
        for source, target in pairs:
            words = tuple(split(source))
            longest = max(longest, len(source))
            if words in tested:
                same.add(words)
            seen.update(ngrams.intersection(four_grams(words)))
            for word in filter(counts.__contains__, split(target)):
                counts[word] += 1
        return cls(split, counts, same, seen, longest)

    def frequency(self, words: Sequence[str]) -> str:
        """Return which of `FREQUENCIES` the rarest of at least one word has.

        Raises: KeyError if a word is in none of the target texts that the facts were collected for.
        """
        return LABELS[bisect_right(MINIMA, min(self.counts[word] for word in words)) - 1]


def four_grams(words: Sequence[str]) -> Iterator[Words]:
    """Return the 4-grams of words in order."""
    return zip(words, words[1:], words[2:], words[3:], strict=False)
