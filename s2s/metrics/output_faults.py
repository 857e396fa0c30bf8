"""Faults of outputs that texts alone show: repetition, copied source, omission, nothing at all."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

from s2s.metrics.scores import Reference, check_counts, texts_of
from s2s.metrics.training_facts import Splitter, four_grams

MIN_REPEATS = 4  # consecutive occurrences of an n-gram that count as a loop
MAX_LOOP_NGRAM = 8  # tokens of an n-gram
MIN_LOOP_TOKENS = 8  # tokens of all occurrences; "ha ha ha ha" is too short to be sure
MIN_COPIED_WORDS = 3  # of a whole source; shorter copies may be names
MIN_KEPT = 0.6  # of the reference's length and content; an output with less of both leaves something out
MIN_OMITTED = 3  # words; short references are often worded more briefly

FAULTS = {
    "empty": "empty",
    "repetition": "repeating itself",
    "copy": "with an untranslated part of its source",
    "omission": "leaving out much of its reference",
}


def output_faults(
    outputs: Sequence[str], sources: Sequence[str], references: Sequence[Reference], split: Splitter
) -> dict[str, list[int]]:
    """Return the lines of N outputs that have each of `FAULTS`. For images, give blank sources.

    - empty: blank, while no reference is. A blank output has no other fault.
    - repetition: `loops` in the words of the output, but not in those of the source or of a reference.
    - copy: all words of the source, at least three, or four words in a row of it, which no reference has.
    - omission: fewer than 60 % of the words of the shortest reference, at least three words fewer, and less than 60 %
      of the content of each reference, where a word of n of N lines' references weighs log((N + 1) / n).

    Words without letters and digits count only in repetitions.
    Raises: DataError if the counts differ or are zero.
    """
    check_counts(outputs, references)
    check_counts(sources, references, "sources")
    wanted = [[_without_punctuation(split(text)) for text in texts_of(reference)] for reference in references]
    lines_with = Counter(word for texts in wanted for word in {word for text in texts for word in text})
    weights = {word: math.log((len(wanted) + 1) / count) for word, count in lines_with.items()}
    faults: dict[str, list[int]] = {name: [] for name in FAULTS}
    for line, (output, source, reference) in enumerate(zip(outputs, sources, references, strict=True)):
        texts, words = texts_of(reference), split(output)
        own = _without_punctuation(words)
        if output.strip():
            found = {
                "repetition": loops(words) and not any(loops(split(text)) for text in (source, *texts)),
                "copy": _copies(own, _without_punctuation(split(source)), wanted[line]),
                "omission": _omits(own, wanted[line], weights),
            }
        else:
            found = {"empty": all(text.strip() for text in texts)}
        for name in found:
            if found[name]:
                faults[name].append(line)
    return faults


def loops(tokens: Sequence[Hashable]) -> bool:
    """Return whether an n-gram occurs several times in a row."""
    for n in range(1, MAX_LOOP_NGRAM + 1):
        threshold, repeated = max((MIN_REPEATS - 1) * n, MIN_LOOP_TOKENS - n), 0
        for token, later in zip(tokens, tokens[n:], strict=False):
            repeated = repeated + 1 if token == later else 0
            if repeated >= threshold:
                return True
    return False


def _without_punctuation(words: Sequence[str]) -> list[str]:
    return [word for word in words if any(map(str.isalnum, word))]


def _copies(own: list[str], source: list[str], references: Sequence[list[str]]) -> bool:
    """Return whether an output has all of its source or four words in a row of it, which no reference has."""
    if own == source:
        return len(own) >= MIN_COPIED_WORDS and own not in references
    common = {*four_grams(own)}.intersection(four_grams(source))
    return bool(common.difference(*map(four_grams, references)))


def _omits(own: list[str], references: Sequence[list[str]], weights: Mapping[str, float]) -> bool:
    """Return whether an output is much shorter than its shortest reference and has little of the content of any."""
    shortest = min(map(len, references))
    if len(own) >= MIN_KEPT * shortest or shortest - len(own) < MIN_OMITTED:
        return False

    def content(words: Counter[str]) -> float:
        return sum(weights[word] * count for word, count in words.items())

    texts = map(Counter, references)
    return all(content(Counter(own) & text) < MIN_KEPT * content(text) for text in texts)
