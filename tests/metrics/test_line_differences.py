"""The lines with the largest differences, as sorting all of them gives."""

import pytest

from s2s.errors import DataError
from s2s.metrics.line_differences import line_differences
from s2s.metrics.scores import sentence_chrf

REFERENCES = ["the end", "two dogs run", ["a cat sleeps", "a cat is asleep"], "nobody is here", "good morning"]
FIRST = ["same", "two dogs run", "a bird", "nobody is there", "good evening"]
SECOND = ["same", "two", "a cat is asleep", "nobody is here", "evening"]


def test_wins_and_losses_are_sorted_by_the_difference_of_sentence_chrf() -> None:
    wins, losses = line_differences(FIRST, SECOND, REFERENCES, 9)
    scores = list(zip(sentence_chrf(FIRST, REFERENCES), sentence_chrf(SECOND, REFERENCES), strict=True))
    order = sorted(range(5), key=lambda line: scores[line][0] - scores[line][1])
    assert [one.line for one in wins] == [line for line in order if scores[line][1] > scores[line][0]] == [2, 3]
    assert [one.line for one in losses] == [line for line in order[::-1] if scores[line][1] < scores[line][0]] == [1, 4]
    for one in (*wins, *losses):
        assert (one.first, one.second) == pytest.approx(scores[one.line])
        assert one.difference == pytest.approx(scores[one.line][1] - scores[one.line][0])


def test_no_more_lines_than_wanted_and_no_equal_ones() -> None:
    wins, losses = line_differences(FIRST, SECOND, REFERENCES, 1)
    assert ([one.line for one in wins], [one.line for one in losses]) == ([2], [1])
    assert line_differences(FIRST, FIRST, REFERENCES, 3) == ([], [])


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(DataError, match="4 hypotheses for 5"):
        line_differences(FIRST, SECOND[:4], REFERENCES, 3)
