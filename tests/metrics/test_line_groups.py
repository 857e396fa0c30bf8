"""Which group each line is in, and that lines which say nothing are in none."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.metrics.line_groups import (
    LineGroup,
    by_capitals,
    by_digits,
    by_overlap,
    by_rarest_word,
    has_inner_capital,
)
from s2s.metrics.training_facts import TrainingFacts

TEXT = st.lists(st.sampled_from("abc"), max_size=8).map(" ".join)


def groups(found: Sequence[LineGroup]) -> dict[str, list[int]]:
    return {group.label: group.lines for group in found}


def test_lines_are_grouped_by_the_rarest_word_of_the_first_reference() -> None:
    training = [("", "a b"), ("", "a b b b b"), ("", "a " * 30)]
    references = ["a a b", ["a a", "x"], "", ["b x", "a"], "a", "b"]
    facts = TrainingFacts.of(training, [], ["a b x"], str.split)
    assert groups(by_rarest_word(references, facts)) == {"not in training": [3], "5–19": [0, 5], "20–99": [1, 4]}


def test_digits_of_any_script_are_numbers_and_words_are_none() -> None:
    sources = ["im Jahr 2016", "drei", "३ घर", "m² und ½", "x7"]
    assert groups(by_digits(sources)) == {"with digits": [0, 2, 4], "without digits": [1, 3]}
    assert groups(by_digits(["drei"])) == {"without digits": [0]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man in Berlin sleeps.", True),
        ("Berlin is big.", False),
        ("In the house, Anna sleeps.", True),
        ("He sleeps. Anna reads a book.", False),  # could begin a sentence
        ('He says "Hello" to them.', False),
        ("Then I sleep.", False),
        ("He sees a TV.", False),
        ("la tour d'Amsterdam", True),
        ("le nord de l’Europe", True),
        ("die Anti-Terror aus", True),
        ("on 5 May we left", True),
        ("в городе Москва", True),
        ("a man sleeps", False),
        ("A Tale Of Two Cities", None),
        ("A MAN SLEEPS", None),
        ("Visit Berlin", None),
        ("Berlin", None),
        ("", None),
        ("我 在 Berlin 工作", None),
        ("मैं बर्लिन में", None),
    ],
)
def test_capitals_inside_sentences(text: str, expected: bool | None) -> None:
    assert has_inner_capital(text) is expected


ENGLISH = ["A man in Rome sleeps.", "A man sleeps.", "A MAN SLEEPS"]
GERMAN = ["Ein Mann schläft.", "Ein Mann schläft in Rom.", "Ein Hund bellt"]
LOWER = ["a man in rome", "a man", "a dog"]
IN_SOURCE = {"a capitalized word inside the source": [0], "no capitalized word inside the source": [1]}
IN_REFERENCE = {label.replace("source", "reference"): lines for label, lines in IN_SOURCE.items()}


@pytest.mark.parametrize(
    ("sources", "references", "languages", "expected"),
    [
        (ENGLISH, GERMAN, ("en_GB", "de"), IN_SOURCE),
        (ENGLISH, LOWER, ("en", "fr"), IN_SOURCE),
        (GERMAN, ENGLISH, ("de-AT", "en"), IN_REFERENCE),
        (GERMAN, [[text, "in Oslo he"] for text in ENGLISH], ("deu", "en"), IN_REFERENCE),
        (LOWER, ENGLISH, ("fr", "en"), IN_REFERENCE),
        (GERMAN, GERMAN, ("de", "lb"), {}),
        (LOWER, LOWER, ("en", "fr"), {}),
        (ENGLISH, ENGLISH, ("", ""), {}),
    ],
)
def test_capitals_are_looked_for_where_they_tell_names(
    sources: list[str], references: list[str], languages: tuple[str, str], expected: dict[str, list[int]]
) -> None:
    assert groups(by_capitals(sources, references, *languages)) == expected


def test_overlap_is_the_share_of_4_grams_in_training_sources() -> None:
    training = ["a b c d e", "v w x y z", "the same"]
    sources = ["the  same", "a b c d", "a b c d e f", "a b c d e f g", "q a b c d", "w x y z a b c d q q", "a b c", ""]
    sources += ["q r s t"]
    facts = TrainingFacts.of(((source, "") for source in training), sources, [], str.split)
    assert groups(by_overlap(sources, facts)) == {
        "a training source": [0],
        "all 4-grams in training": [1],
        "more than half of the 4-grams in training": [2],
        "at most half of the 4-grams in training": [3, 4, 5],
        "no 4-grams in training": [8],
        "fewer than 4 words": [6],
    }


@given(st.lists(TEXT, max_size=6), st.lists(TEXT, max_size=9))
def test_each_line_with_words_is_in_one_group(training: list[str], tested: list[str]) -> None:
    facts = TrainingFacts.of(zip(training, training, strict=True), tested, tested, str.split)
    for found in (by_overlap(tested, facts), by_rarest_word(tested, facts)):
        assert sorted(line for group in found for line in group.lines) == [i for i, text in enumerate(tested) if text]
        assert all(group.lines and group.lines == sorted(group.lines) for group in found)
