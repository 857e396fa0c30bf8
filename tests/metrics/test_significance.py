import multiprocessing

import numpy as np
import pytest

from s2s.errors import DataError
from s2s.metrics import significance
from s2s.metrics.scores import score_corpus
from s2s.metrics.significance import Difference, paired_bootstrap

REFERENCES = [f"line {i} says {i * i} and then {i % 7} more words" for i in range(60)]
WORSE = [line.replace("and then", "or") if i % 2 else line for i, line in enumerate(REFERENCES)]
NEARLY = [line.replace("more", "many") if i == 3 else line for i, line in enumerate(REFERENCES)]


def test_differences_are_to_the_baseline_in_the_order_of_the_systems():
    worse, same = paired_bootstrap(NEARLY, [WORSE, NEARLY], REFERENCES, samples=200)

    bleu = {
        name: score_corpus(lines, REFERENCES, ["bleu"])["bleu"].value
        for name, lines in [("nearly", NEARLY), ("worse", WORSE)]
    }
    assert worse.difference == pytest.approx(bleu["worse"] - bleu["nearly"])
    assert worse.difference < -5
    assert worse.p_value == pytest.approx(1 / 201)
    assert worse.interval > 0
    assert (same.difference, same.p_value) == (0, 1)


def test_a_difference_of_one_line_is_not_significant():
    [difference] = paired_bootstrap(NEARLY, [REFERENCES], REFERENCES, samples=200)
    assert difference.difference > 0
    assert difference.p_value > 0.05


def test_the_signature_names_test_samples_and_seed_and_results_repeat():
    [first] = paired_bootstrap(WORSE, [NEARLY], REFERENCES, samples=150)
    [second] = paired_bootstrap(WORSE, [NEARLY], REFERENCES, samples=150)
    assert first == second
    assert first.signature.startswith("BLEU|nrefs:1|bs:150|seed:12345|case:mixed|")


def test_samples_shrink_with_many_lines(monkeypatch):
    monkeypatch.setattr(significance, "MAX_CELLS", 60 * 120)
    [difference] = paired_bootstrap(WORSE, [NEARLY], REFERENCES, samples=1000)
    assert "|bs:120|" in difference.signature


def test_no_process_is_started(monkeypatch):
    def refuse(*_):
        raise AssertionError("a process was started")

    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    assert len(paired_bootstrap(WORSE, [NEARLY, REFERENCES], REFERENCES, samples=100)) == 2


def test_probability_is_never_shown_as_zero():
    assert Difference(37.5, 1 / 1001, 1.1, "").probability == "p < 0.001"
    assert Difference(0.4, 0.0344, 1.1, "").probability == "p = 0.034"


def test_unequal_counts_and_no_lines_are_refused():
    with pytest.raises(DataError, match="1 hypotheses for 2 references"):
        paired_bootstrap(["a", "b"], [["a"]], ["a", "b"])
    with pytest.raises(DataError, match="no lines"):
        paired_bootstrap([], [[]], [])


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_lines_may_have_several_references(metric):
    several = [[line, line.replace("says", "tells")] if i % 3 else line for i, line in enumerate(REFERENCES)]
    told = [line.replace("says", "tells") for line in REFERENCES]
    [difference] = paired_bootstrap(WORSE, [told], several, samples=200, metric=metric)
    scores = [score_corpus(lines, several, [metric])[metric].value for lines in (told, WORSE)]
    assert difference.difference == pytest.approx(scores[0] - scores[1])
    assert difference.difference > paired_bootstrap(WORSE, [told], REFERENCES, 200, metric=metric)[0].difference
    assert "|nrefs:var|bs:200|" in difference.signature


def test_a_list_of_one_reference_is_tested_as_the_reference():
    one = [[line] for line in REFERENCES]
    assert paired_bootstrap(WORSE, [NEARLY], one, 150) == paired_bootstrap(WORSE, [NEARLY], REFERENCES, 150)


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_a_resampled_line_takes_all_its_references_along(metric):
    """The p-value is that of scoring every resample anew (Koehn 2004), with sacrebleu's seed."""
    several = [[line, line.replace("says", "tells")] if i % 3 else line for i, line in enumerate(REFERENCES[:20])]
    systems = [
        [line.replace("more", "many") if i % 3 == 1 else line for i, line in enumerate(REFERENCES[:20])],
        [
            line.replace("says", "tells").replace("then", "so" if i % 5 == 1 else "then")
            for i, line in enumerate(REFERENCES[:20])
        ],
    ]
    [difference] = paired_bootstrap(systems[0], [systems[1]], several, samples=100, metric=metric)

    def gap(rows):
        one, other = (
            score_corpus([lines[row] for row in rows], [several[row] for row in rows], [metric])[metric].value
            for lines in systems
        )
        return other - one

    rows = np.random.default_rng(12345).choice(20, size=(100, 20), replace=True)
    gaps = np.abs([gap(resample) for resample in rows])
    exceeding = np.sum(gaps - gaps.mean() > abs(gap(range(20))))
    assert difference.p_value == pytest.approx((exceeding + 1) / 101)
    assert 0 < exceeding < 90
    assert difference.difference == pytest.approx(gap(range(20)))
