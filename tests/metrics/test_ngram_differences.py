"""N-grams that only one of two systems writes, with counts as a search through all lines gives them."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s.errors import DataError
from s2s.metrics.ngram_differences import NgramCounts, NgramDifference, ngram_differences

TEXT = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)
ALL = 10**6


def occurrences(ngram: str, text: str) -> int:
    wanted, words = ngram.split(), text.split()
    return sum(words[start : start + len(wanted)] == wanted for start in range(len(words)))


def counts(ngram: str, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> NgramCounts:
    written = sum(occurrences(ngram, output) for output in outputs)
    correct = sum(
        min(occurrences(ngram, output), max(occurrences(ngram, text) for text in texts))
        for output, texts in zip(outputs, references, strict=True)
    )
    return NgramCounts(correct, written - correct)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, st.lists(TEXT, min_size=1, max_size=2)), min_size=1, max_size=5))
def test_counts_and_choice_are_those_of_a_search(lines: list[tuple[str, str, list[str]]]) -> None:
    first, second, references = map(list, zip(*lines, strict=True))
    found = ngram_differences(first, second, references, str.split, ALL)
    for own, other, differences in ((first, second, found[0]), (second, first, found[1])):
        texts = [text.split() for text in own]
        every = {" ".join(text[i : i + n]) for text in texts for n in range(1, 5) for i in range(len(text) - n + 1)}
        expected = {ngram: (counts(ngram, own, references), counts(ngram, other, references)) for ngram in every}
        expected = {
            ngram: (mine, theirs)
            for ngram, (mine, theirs) in expected.items()
            if mine.written >= 2 and mine.written > theirs.written
        }
        longest = {
            ngram
            for ngram, both in expected.items()
            if not any(ngram != long and occurrences(ngram, long) and both == expected[long] for long in expected)
        }
        assert {one.ngram: (one.own, one.other) for one in differences} == {one: expected[one] for one in longest}
        for one in differences:
            more = [occurrences(one.ngram, a) > occurrences(one.ngram, b) for a, b in zip(own, other, strict=True)]
            assert one.line == more.index(True)


def test_n_grams_that_only_one_system_writes_come_first() -> None:
    references = ["in the red house", "in the red car", "a house", "a red car"]
    first = ["in the red house", "in the red car", "a red home", "the red car"]
    second = ["in the house", "in the car", "a house a house", "a car"]
    more, less = ngram_differences(first, second, references, str.split, 3)
    assert [one.ngram for one in more] == ["red", "the red", "in the red"]
    assert more[1] == NgramDifference("the red", NgramCounts(2, 1), NgramCounts(0, 0), 0)
    assert [one.share for one in more] == pytest.approx([5 / 6, 4 / 5, 3 / 4])
    assert [(one.ngram, one.own, one.other, one.line) for one in less] == [
        ("a house", NgramCounts(1, 1), NgramCounts(0, 0), 2),
        ("a", NgramCounts(2, 1), NgramCounts(1, 0), 2),
        ("house", NgramCounts(2, 1), NgramCounts(1, 0), 2),
    ]


def test_ranking_weighs_how_often_and_how_exclusively() -> None:
    first = ["r"] * 9 + ["s"] * 5 + ["t"] * 2
    second = ["s"] * 9 + ["r"] + ["q"] * 6
    more, less = ngram_differences(first, second, ["r"] * 16, str.split, ALL)
    assert [(one.ngram, one.own.written, one.other.written) for one in more] == [("r", 9, 1), ("t", 2, 0)]
    assert [(one.ngram, one.own.wrong, one.other.wrong) for one in less] == [("q", 6, 0), ("s", 9, 5)]


def test_words_are_no_part_of_longer_words() -> None:
    more, _ = ngram_differences(["the car", "the car", "he", "he"], [""] * 4, [""] * 4, str.split, ALL)
    assert [one.ngram for one in more] == ["the car", "he"]


def test_equal_systems_have_no_differences() -> None:
    assert ngram_differences(["a b", "a b"], ["a b", "a b"], ["a", "b"], str.split, 5) == ([], [])


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(DataError, match="1 hypotheses for 2"):
        ngram_differences(["a", "b"], ["a"], ["a", "b"], str.split, 5)
