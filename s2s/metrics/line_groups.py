"""Groups of test lines that are hard for different reasons: rare words, numbers, names, text far from training."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s2s.metrics.scores import Reference, first_references
from s2s.metrics.training_facts import FREQUENCIES, TrainingFacts, four_grams
from s2s.recipe.languages import primary_language

# Languages that capitalize all nouns, so that a capital letter does not indicate a name
CAPITALIZE_NOUNS = {"bar", "de", "gsw", "ksh", "lb", "nds", "pdc", "pfl", "stq"}
INNER_WORD = re.compile(r"(?<=\w)(?:[\s,]+|['’-])(?=(\w\w?))")  # captures the first two characters
TRAINING_SOURCE, TOO_SHORT = "a training source", "fewer than 4 words"
ALL_NGRAMS, MOST_NGRAMS, FEW_NGRAMS, NO_NGRAMS = (
    f"{share} 4-grams in training" for share in ("all", "more than half of the", "at most half of the", "no")
)
OVERLAPS = (TRAINING_SOURCE, ALL_NGRAMS, MOST_NGRAMS, FEW_NGRAMS, NO_NGRAMS, TOO_SHORT)


@dataclass(frozen=True, slots=True)
class LineGroup:
    """Lines of a test set that have something in common."""

    label: str
    lines: list[int]  # from 0, ascending


def by_rarest_word(references: Sequence[Reference], facts: TrainingFacts) -> list[LineGroup]:
    """Group lines by how often training targets have the rarest word of the first reference; skip blank references."""
    words = [facts.split(text) for text in first_references(references)]
    return _grouped([facts.frequency(line) if line else None for line in words], FREQUENCIES)


def by_digits(sources: Sequence[str]) -> list[LineGroup]:
    """Group lines by whether the source has a decimal digit of any script; numbers in words do not count."""
    labels = {True: "with digits", False: "without digits"}
    return _grouped([labels[any(map(str.isdecimal, source))] for source in sources], labels.values())


def by_capitals(
    sources: Sequence[str], references: Sequence[Reference], source_language: str, target_language: str
) -> list[LineGroup]:
    """Group lines by whether a word inside a sentence is capitalized, which is often a name; see `has_inner_capital`.

    Looks at the sources, or at the first references where the source language capitalizes all nouns, as German does,
    is unknown (an empty code), or no source has such a word. Lines that do not tell are in no group. Returns no groups
    if neither side tells: lower-cased text, scripts without capitals.
    """
    sides = (
        ("source", sources, source_language),
        ("reference", first_references(references), target_language),
    )
    for side, texts, language in sides:
        found = [has_inner_capital(text) for text in texts]
        if language and primary_language(language) not in CAPITALIZE_NOUNS and True in found:
            labels = {True: f"a capitalized word inside the {side}", False: f"no capitalized word inside the {side}"}
            return _grouped([None if capital is None else labels[capital] for capital in found], labels.values())
    return []


def has_inner_capital(text: str) -> bool | None:
    """Return whether a word inside a sentence begins with a capital and a lower-case letter; None if unclear.

    Inside: after another word, with nothing but spaces and commas, or an apostrophe or hyphen, between them. "I", "TV"
    and words after other punctuation do not count; "Monday", "English" and titles do. Unclear is a text in which no
    word inside begins with a lower-case letter: a heading, a single word, a script without capitals.
    """
    inner = INNER_WORD.findall(text)
    if not any(start[0].islower() for start in inner):
        return None
    return any(start[0].isupper() and start[1:].islower() for start in inner)


def by_overlap(sources: Sequence[str], facts: TrainingFacts) -> list[LineGroup]:
    """Group lines by whether the source is a training source, or how many of its word 4-grams training sources have.

    Sources are the same if their words are: case and spaces do not count. Blank sources are in no group.
    """

    def label(source: str) -> str | None:
        words = tuple(facts.split(source))
        if words in facts.sources:
            return TRAINING_SOURCE
        seen = [ngram in facts.ngrams for ngram in four_grams(words)]
        if not seen:
            return TOO_SHORT if words else None
        if all(seen):
            return ALL_NGRAMS
        return MOST_NGRAMS if 2 * sum(seen) > len(seen) else FEW_NGRAMS if any(seen) else NO_NGRAMS

    return _grouped(map(label, sources), OVERLAPS)


def _grouped(labels: Iterable[str | None], order: Iterable[str]) -> list[LineGroup]:
    """Group lines by their labels, in a given order, without empty groups; lines without a label are in none."""
    groups: dict[str, list[int]] = {label: [] for label in order}
    for line, label in enumerate(labels):
        if label is not None:
            groups[label].append(line)
    return [LineGroup(label, lines) for label, lines in groups.items() if lines]
