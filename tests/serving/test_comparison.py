"""The comparison that shadow mode keeps."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.errors import ArtefactError, OutdatedError, UsageError
from s2s.serving.comparison import KEPT, Comparison, Output, Side, comparison_file, read_comparisons

TIME = "2026-01-02T03:04:05+00:00"
LOOP = tuple("abababababababab")


def empty() -> Comparison:
    sides = {"production": Side(model="a:1"), "candidate": Side(model="a:2")}
    return Comparison(alias="a@production", since=TIME, updated=TIME, schema=1, **sides)


outputs = st.builds(
    Output,
    st.sampled_from(["", "one", "two"]),
    st.sampled_from([(), ("x", "y"), LOOP]),
    st.floats(-9, 0),
    st.floats(-9, 0),
)


@given(st.lists(st.tuples(outputs, outputs, st.floats(0, 100)), min_size=1, max_size=60))
def test_sums_are_those_of_a_naive_loop(pairs):
    comparison = empty()
    for number, (production, candidate, chrf) in enumerate(pairs):
        comparison = comparison.add(f"source {number}", production, candidate, chrf)
    assert comparison.sentences == comparison.scored == len(pairs)
    assert comparison.identical == sum(one.text == other.text for one, other, _ in pairs)
    assert comparison.chrf == pytest.approx(sum(chrf for *_, chrf in pairs))
    for side, own, other in ((comparison.production, 0, 1), (comparison.candidate, 1, 0)):
        assert side.tokens == sum(len(pair[own].tokens) for pair in pairs)
        assert side.empty == sum(pair[own].text == "" for pair in pairs)
        assert side.loops == sum(pair[own].tokens == LOOP for pair in pairs)
        assert side.own_score == pytest.approx(sum(pair[own].own_score for pair in pairs))
        assert side.other_score == pytest.approx(sum(pair[other].other_score for pair in pairs))
    different = sorted(chrf for one, other, chrf in pairs if one.text != other.text)
    assert [one.chrf for one in comparison.disagreements] == different[:KEPT]


def test_sentences_without_scores_count_otherwise():
    comparison = empty().add("x", Output("a", ("a",)), Output("a", ("a",)), 100.0)
    assert (comparison.sentences, comparison.scored, comparison.identical) == (1, 0, 1)


def test_it_is_stored_for_its_user_alone():
    comparison = empty().add("ü\x1b[31m", Output("a", ("a",)), Output("b", ("b",)), 3.0)
    comparison.save()
    assert read_comparisons("a") == read_comparisons("a@production") == [comparison]
    assert stat.S_IMODE(comparison_file("a@production").parent.stat().st_mode) == 0o700
    with pytest.raises(UsageError, match="no comparison"):
        read_comparisons("b")


@pytest.mark.parametrize(
    ("content", "error"),
    [("{}", ArtefactError), ("[", ArtefactError), ('{"schema": 0}', OutdatedError), ('{"schema": 9}', ArtefactError)],
)
def test_a_damaged_file_is_refused(content, error):
    empty().save()
    comparison_file("a@production").write_text(content)
    with pytest.raises(error):
        read_comparisons("a")
