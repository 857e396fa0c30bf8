"""Words match as they do when they are crossed off the reference one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.errors import DataError
from s2s.metrics.training_facts import FREQUENCIES, TrainingFacts
from s2s.metrics.word_accuracy import word_accuracy

COUNTS = {"never": 0, "once": 1, "four": 4, "often": 5, "always": 5000}
FACTS = TrainingFacts(str.split, COUNTS, set(), set(), 0)
TEXT = st.lists(st.sampled_from([*COUNTS]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=5))
def test_words_match_as_if_crossed_off_one_by_one(lines: list[tuple[str, str, str]]) -> None:
    *systems, references = map(list, zip(*lines, strict=True))
    found = {one.label: one.systems for one in word_accuracy(systems, references, FACTS)}
    for label in FREQUENCIES:
        words = {word for word in COUNTS if FACTS.frequency([word]) == label}
        wanted = sum(word in words for text in references for word in text.split())
        for number, outputs in enumerate(systems):
            written = sum(word in words for text in outputs for word in text.split())
            matches = 0
            for output, reference in zip(outputs, references, strict=True):
                left = reference.split()
                for word in output.split():
                    if word in words and word in left:
                        left.remove(word)
                        matches += 1
            if label not in found:
                assert wanted == written == 0
                continue
            one = found[label][number]
            assert (one.matches, one.written, one.wanted) == (matches, written, wanted)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    [rare, common] = word_accuracy([["once four x"], ["x"]], ["once once once x"], _with("x"))
    assert (rare.label, rare.words, common.label, common.words) == ("1–4", 3, "100–999", 1)
    one, none = rare.systems
    precision, recall = 50, 100 / 3
    assert one.f1 == pytest.approx(2 / (1 / precision + 1 / recall))
    assert none.f1 == 0
    assert common.systems[0].f1 == common.systems[1].f1 == 100


def _with(word: str) -> TrainingFacts:
    return TrainingFacts(str.split, {**COUNTS, word: 100}, set(), set(), 0)


def test_words_only_a_system_writes_have_a_bucket() -> None:
    [found] = word_accuracy([["never"]], [[""]], FACTS)
    assert (found.label, found.words, found.systems[0].written) == ("not in training", 0, 1)


def test_of_several_references_the_first_counts() -> None:
    [found] = word_accuracy([["once"]], [["four", "once"]], FACTS)
    assert (found.words, found.systems[0].matches) == (1, 0)


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(DataError, match="1 hypotheses for 2"):
        word_accuracy([["once", "four"], ["once"]], ["once", "four"], FACTS)
