"""Groups of systems that cannot be told apart, and what differences mean to people."""

import pytest

from s2s.metrics.human_agreement import human_agreement
from s2s.metrics.ranking import rank_groups

SCORES = [28.0, 41.0, 40.0, 40.5]


def groups(different: set[tuple[int, int]]) -> list[int]:
    pairs = different | {(other, one) for one, other in different}
    return rank_groups(SCORES, lambda one, other: 0.01 if (one, other) in pairs else 0.3)


def test_a_group_begins_where_all_above_differ_from_all_below() -> None:
    assert groups({(0, 1), (0, 2), (0, 3)}) == [2, 1, 1, 1]
    assert groups({(0, 1), (0, 2), (0, 3), (1, 3), (1, 2)}) == [3, 1, 2, 2]
    assert groups({(0, 1), (0, 2), (0, 3), (1, 2)}) == [2, 1, 1, 1]
    assert groups(set()) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("difference", "metric", "accuracy"),
    [(1.0, "bleu", 64.0), (-2.0, "bleu", 77.2), (5.0, "bleu", 87.6), (1.0, "chrf", 70.0)],
)  # of the package mt-thresholds 1.0.4
def test_agreement_is_that_of_the_published_fit(difference: float, metric: str, accuracy: float) -> None:
    assert human_agreement(difference, metric) == pytest.approx(accuracy, abs=0.05)  # type: ignore[arg-type]


def test_agreement_is_unknown_below_chance_and_for_large_differences() -> None:
    assert human_agreement(0.1, "bleu") is None
    assert human_agreement(5.1, "bleu") is None
