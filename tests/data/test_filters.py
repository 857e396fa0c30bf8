import numpy as np
import pytest
from pydantic import TypeAdapter

from s2s.data.filters import PairStatus, classify, classify_lengths, count_overlap, fingerprint, text_digest
from s2s.data.readers import Pair
from s2s.errors import DataError
from s2s.recipe.data import DataOptions

data_options = TypeAdapter(DataOptions).validate_python


def options(**values: object) -> DataOptions:
    given = {"kind": "tsv", "train": {"files": ["train.tsv"]}}
    for name in ("validation", "test"):
        if f"hold_out_{name}" not in values:
            given[name] = {"files": [f"{name}.tsv"]}
    return data_options({**given, **values})


def pairs_of(*texts: tuple[str, str]) -> list[Pair]:
    return [Pair(source, target, line, "train.tsv") for line, (source, target) in enumerate(texts, 1)]


def held(texts: list[tuple[str, str]], validation: int, test: int) -> dict[str, set[tuple[str, str]]]:
    """The pairs that get each status."""
    found = classify(fingerprint(pairs_of(*texts)), options(hold_out_validation=validation, hold_out_test=test))
    return {
        status.name: {pair for pair, known in zip(texts, found, strict=True) if known == status}
        for status in PairStatus
    }


def test_a_pair_with_an_empty_side_is_dropped():
    found = classify(fingerprint(pairs_of(("a", "b"), ("", "b"), ("a", " \t\u2003"), ("", ""))), options())
    assert found.tolist() == [PairStatus.KEPT, PairStatus.EMPTY, PairStatus.EMPTY, PairStatus.EMPTY]


def test_the_first_of_equal_pairs_stays_and_another_translation_is_no_duplicate():
    texts = pairs_of(("a", "b"), ("c", "d"), ("a", "e"), ("a", "b"), ("a ", " b"), ("c", "d"))
    found = classify(fingerprint(texts), options())
    assert found.tolist() == [PairStatus.KEPT] * 3 + [PairStatus.DUPLICATE] * 3


def test_duplicates_stay_where_asked_for():
    found = classify(fingerprint(pairs_of(("a", "b"), ("a", "b"))), options(drop_duplicates=False))
    assert found.tolist() == [PairStatus.KEPT, PairStatus.KEPT]


def test_the_border_between_the_sides_counts():
    assert text_digest("a b", "c") != text_digest("a", "b c")
    assert text_digest("a", "b") != text_digest("b", "a")
    assert text_digest("a  b ") == text_digest("a b")


def test_as_many_are_held_out_as_asked_for_and_no_source_stands_in_two_splits():
    texts = [(f"s{number % 17}", f"t{number}") for number in range(40)]
    found = held(texts, validation=3, test=5)
    assert (len(found["VALIDATION"]), len(found["TEST"])) == (3, 5)
    sources = {name: {source for source, _ in found[name]} for name in ("KEPT", "VALIDATION", "TEST")}
    assert len(sources["VALIDATION"]) == 3
    assert len(sources["KEPT"] | sources["VALIDATION"] | sources["TEST"]) == 17 == sum(map(len, sources.values()))
    assert found["HELD_OUT_SOURCE"]


def test_what_is_held_out_depends_on_the_texts_and_not_on_their_order():
    texts = [(f"s{number % 17}", f"t{number}") for number in range(40)]
    shuffled = [texts[row] for row in np.random.default_rng(1).permutation(len(texts))]
    first, second = held(texts, 3, 5), held(shuffled, 3, 5)
    assert first == second


def test_empty_pairs_are_never_held_out():
    found = held([("", f"t{number}") for number in range(9)] + [("a", "b"), ("c", "d"), ("e", "f")], 1, 1)
    assert len(found["EMPTY"]) == 9
    assert ("", "t0") not in found["VALIDATION"] | found["TEST"]


def test_too_few_sources_to_hold_out_are_refused_with_their_number():
    with pytest.raises(DataError, match="3 distinct sources") as caught:
        held([("a", "1"), ("a", "2"), ("b", "3"), ("c", "4")], 2, 1)
    assert "data.hold_out_validation" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("source", "target", "status"),
    [
        (2, 2, PairStatus.KEPT),
        (1, 2, PairStatus.LENGTH),
        (2, 1, PairStatus.LENGTH),
        (7, 7, PairStatus.KEPT),
        (8, 7, PairStatus.LENGTH),
        (7, 8, PairStatus.LENGTH),
        (2, 6, PairStatus.KEPT),
        (2, 7, PairStatus.RATIO),
        (7, 2, PairStatus.RATIO),
    ],
)
def test_lengths_decide_at_their_bounds(source, target, status):
    data = options(min_length=2, max_length=7, max_ratio=3)
    assert classify_lengths([3, source], [3, target], data).tolist() == [PairStatus.KEPT, status]


def test_overlap_counts_sources_and_whole_pairs_of_what_is_kept():
    train = fingerprint(pairs_of(("a", "1"), ("b", "2"), ("c", "3")))
    pairs = pairs_of(("a", "1"), ("b", "other"), ("c", "3"), ("d", "4"), ("", ""))
    overlap = count_overlap(train, np.array([True, True, False]), pairs)
    assert (overlap.source.count, overlap.pair.count) == (2, 1)
    assert [example.line for example in overlap.source.examples] == ["train.tsv:1", "train.tsv:2"]


def test_nothing_overlaps_with_an_empty_training_set():
    pairs = pairs_of(("a", "1"))
    assert count_overlap(fingerprint(pairs), np.array([False]), pairs).source.count == 0
