import pytest

from s2s.errors import DataError
from s2s.metrics.length_buckets import choose_bounds, score_by_length
from s2s.metrics.scores import score_corpus


def lines_of(*lengths):
    return ["x" * length for length in lengths]


def test_usual_bounds_where_each_bucket_has_lines():
    assert choose_bounds([1, 19, 20, 39, 40, 79, 80, 300]) == [1, 20, 40, 80]


def test_bounds_become_quartiles_in_tens_where_the_usual_do_not_suit():
    assert choose_bounds(list(range(41, 121))) == [1, 60, 80, 100]


def test_bounds_of_short_lines_are_finer_than_tens():
    assert choose_bounds([2, 3, 4, 5, 6, 7, 8, 9] * 5) == [1, 3, 6, 8]


def test_bounds_of_equal_lengths_are_one_bucket():
    assert choose_bounds([7] * 9) == [1]


def test_each_bucket_has_its_own_corpus_bleu_for_each_system():
    references = ["a b c d e f", "g h i j k l", "m n o p q r", "s t u v w x"]
    good, bad = list(references), ["a b c d x y", "g h z z k l", *references[2:]]
    sources = lines_of(19, 20, 19, 39)

    buckets = score_by_length(sources, [good, bad], references, bounds=[1, 20]).buckets

    assert [(bucket.label, bucket.count) for bucket in buckets] == [("1–19", 2), ("20–", 2)]
    expected = score_corpus([bad[0], bad[2]], [references[0], references[2]], ["bleu"])["bleu"].value
    assert buckets[0].values == (pytest.approx(100), pytest.approx(expected))
    assert expected < 90


def test_lengths_are_characters_not_bytes():
    buckets = score_by_length(["ä" * 15, "x" * 25], [["a", "b"]], ["a", "b"], bounds=[1, 20]).buckets
    assert [bucket.count for bucket in buckets] == [1, 1]


def test_buckets_without_lines_are_left_out_and_empty_lines_counted():
    buckets = score_by_length(lines_of(0, 90, 85), [["a", "b", "c"]], ["a", "b", "c"], bounds=[1, 20, 40, 80]).buckets
    assert [(bucket.label, bucket.count) for bucket in buckets] == [("0–19", 1), ("80–", 2)]


@pytest.mark.parametrize(
    ("sources", "system", "name"), [(["a"], ["a", "b"], "sources"), (["a", "b"], ["a"], "hypotheses")]
)
def test_unequal_counts_are_refused(sources, system, name):
    with pytest.raises(DataError, match=f"1 {name} for 2"):
        score_by_length(sources, [system], ["a", "b"])


def test_no_lines_are_refused():
    with pytest.raises(DataError, match="no lines"):
        score_by_length([], [[]], [])


def test_lines_keep_their_references_in_their_buckets():
    references = [["a b c d e f", "a b c d"], "g h i j k l", ["m n o p q r", "x x x x", "m n o p"], ["s t u v w x"]]
    system = ["a b c d", "g h i j y l", "m n o p", "s t u v w x"]
    buckets = score_by_length(lines_of(19, 20, 19, 39), [system], references, bounds=[1, 20]).buckets
    expected = [score_corpus(system[i::2], references[i::2], ["bleu"])["bleu"].value for i in (0, 1)]
    assert [bucket.values for bucket in buckets] == [(value,) for value in expected]
    assert expected[0] == pytest.approx(100)
    assert expected[1] < 90
