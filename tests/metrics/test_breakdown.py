"""Scores on buckets of lines."""

import pytest

from s2s.metrics.breakdown import choose_bounds, lines_by_length, score_buckets
from s2s.metrics.resampling import LineStatistics, LineValues
from s2s.metrics.scores import score_corpus

REFERENCES = ["a b c d e f", "g h i j k l", "m n o p q r", "s t u v w x"]


@pytest.mark.parametrize(
    ("lengths", "bounds"),
    [
        ([1, 19, 20, 39, 40, 79, 80, 300], [1, 20, 40, 80]),
        (list(range(41, 121)), [1, 60, 80, 100]),
        ([2, 3, 4, 5, 6, 7, 8, 9] * 5, [1, 3, 6, 8]),
        ([7] * 9, [1]),
    ],
    ids=["usual", "quartiles in tens", "finer quartiles", "one length"],
)
def test_bounds_suit_the_lengths(lengths: list[int], bounds: list[int]) -> None:
    assert choose_bounds(lengths) == bounds


def test_lengths_are_characters_and_empty_lines_count() -> None:
    texts = ["ä" * length for length in [0, 19, 20, 39, 40, 79, 80, 300]]
    assert lines_by_length(texts) == {"0–19": [0, 1], "20–39": [2, 3], "40–79": [4, 5], "80–": [6, 7]}


def test_a_range_of_one_length_is_a_number() -> None:
    assert lines_by_length(["x", "x", "xx", "xx", "xxx", "xxx", "xxxx", "xxxx"]) == {
        "1": [0, 1],
        "2–3": [2, 3, 4, 5],
        "4–": [6, 7],
    }


def test_lines_longer_than_any_in_training_are_apart() -> None:
    texts = ["x" * length for length in [1, 19, 20, 39, 40, 79, 80, 100, 101, 300]]
    found = lines_by_length(texts, longest=100)
    assert found["over 100, longer than any in training"] == [8, 9]
    assert found["80–"] == [6, 7]
    assert list(lines_by_length(["xx", "xxx"], longest=1)) == ["over 1, longer than any in training"]


def test_each_bucket_has_its_own_corpus_score_for_each_system() -> None:
    references, short = REFERENCES * 5, [0, 2] * 5
    bad = ["a b c d x y", "g h z z k l", *REFERENCES[2:]] * 5
    systems = [[LineStatistics(references, references)], [LineStatistics(bad, references)]]
    buckets = score_buckets({"short": short, "none": [], "long": [1, 3]}, systems)
    assert [(bucket.label, bucket.count) for bucket in buckets] == [("short", 10), ("long", 2)]
    expected = score_corpus([bad[0], bad[2]], [REFERENCES[0], REFERENCES[2]], ["bleu"])["bleu"].value
    assert buckets[0].values == (pytest.approx(100), pytest.approx(expected))
    assert buckets[0].intervals[0] == pytest.approx(0, abs=1e-9)
    assert buckets[0].intervals[1] > 0
    assert buckets[1].intervals == ()  # too few lines


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    low, high = LineValues([10.0, 10.0, 30.0]), LineValues([30.0, 30.0, 50.0])
    [bucket] = score_buckets({"all": [0, 1] * 5}, [[low, high]])
    assert bucket.values == (20.0,)
    assert bucket.intervals[0] > 100  # two seeds that differ by 20 points, with one degree of freedom
