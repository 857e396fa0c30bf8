from dataclasses import replace

import pytest

from s2s.metrics.scores import Score
from s2s.metrics.variance import Estimate
from s2s.report.figures import ExtraScore
from s2s.report.format import duration, signed
from s2s.report.table import headline, signatures, table


def row(comparison, label):
    return next(row for row in table(comparison) if row.label == label)


def test_figures_are_shown_with_their_units(comparison):
    shown = {row.label: row.cells[1].text for row in table(comparison)}
    assert shown == {
        "network": "GRU, additive attention",
        "parameters": "313,690",
        "BLEU": "98.7",
        "chrF2": "99.2",
        "exact match": "78.7 %",
        "perplexity": "1.84",
        "difference": "+37.5 ± 1.2",
        "by sentences": "0.60",
        "detectable": "1.7",
        "bootstrap": "p < 0.001",
        "randomization": "p = 0.002",
        "group": "1",
        "updates": "2,460",
        "tokens": "943,434",
        "training time": "2 min 15 s",
        "tokens/s": "6,968",
    }


def test_bleu_says_the_difference_to_the_first(comparison):
    assert [cell.note for cell in row(comparison, "BLEU").cells] == ["", "+37.5  p < 0.001"]


def test_scores_of_other_metrics_have_a_minus_sign(comparison):
    first, second = comparison.systems
    second = replace(second, extra={"COMET": ExtraScore(-0.25, Estimate(-0.5, 0.1, None, None))})
    cell = row(replace(comparison, systems=[first, second]), "COMET").cells[1]
    assert (cell.text, cell.note) == ("−0.25", "−0.5  p < 0.001")


def test_score_has_an_interval_where_it_is_known(comparison):
    first, second = comparison.systems
    changed = replace(comparison, systems=[first, replace(second, estimate=Estimate(98.7, 0.5, None, None))])
    assert [cell.text for cell in row(changed, "95 % interval").cells] == ["–", "± 1.0"]


def test_the_best_is_the_largest_or_for_ter_and_perplexity_the_smallest(comparison):
    first, second = comparison.systems
    first = replace(first, scores={**first.scores, "ter": Score("ter", 31.0, "TER|x")}, perplexity=2.0)
    second = replace(second, scores={**second.scores, "ter": Score("ter", 2.5, "TER|x")}, perplexity=1.1)
    changed = replace(comparison, systems=[first, second])
    for label in ("BLEU", "TER", "perplexity"):
        assert [cell.best for cell in row(changed, label).cells] == [False, True], label


def test_equal_figures_have_no_best_and_ties_two(make_comparison):
    assert not any(cell.best for cell in row(make_comparison(2), "perplexity").cells)
    assert [cell.best for cell in row(make_comparison(5), "BLEU").cells] == [False, False, False, True, True]


def test_unknown_figures_are_dashes_and_rows_without_any_left_out(comparison):
    first = replace(comparison.systems[0], perplexity=None, seconds=None)
    changed = replace(comparison, systems=[first, replace(comparison.systems[1], seconds=None)])
    assert [cell.text for cell in row(changed, "perplexity").cells] == ["–", "1.84"]
    assert "training time" not in [row.label for row in table(changed)]


def test_more_than_two_systems_have_their_gain_over_the_one_before(make_comparison, comparison):
    four = make_comparison(4)
    assert [cell.text for cell in row(four, "gain").cells] == ["–", "+37.5", "−0.2", "+0.7"]
    assert "gain" not in [row.label for row in table(comparison)]
    unscored = replace(four, systems=[replace(four.systems[0], scores={}), *four.systems[1:]])
    assert "gain" not in [row.label for row in table(unscored)]


def test_signatures_are_listed_once_in_order(comparison):
    found = signatures(comparison)
    assert [signature.split("|")[0] for signature in found] == ["BLEU", "chrF2", "exact", "BLEU", "BLEU"]
    assert ("|bs:1000|" in found[-2], "|ar:10000|" in found[-1]) == (True, True)


def test_headline_names_the_best_and_doubts_what_may_be_chance(comparison):
    assert headline(comparison) == "numbers-attention reaches 98.7 BLEU, 37.5 above numbers-bottleneck (p < 0.001)."
    first, second = comparison.systems
    wide = replace(second.difference.estimate, sentences=30.0)
    doubtful = replace(second, difference=replace(second.difference, estimate=wide))
    assert "which may be chance (p = 0.212)" in headline(replace(comparison, systems=[first, doubtful]))
    assert headline(replace(comparison, systems=[second, first])) == "None scores above numbers-attention."
    assert headline(replace(comparison, systems=[first])) is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(47.6, "48 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (3599.9, "1 h 00 min"), (3_900, "1 h 05 min")],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_signed_points():
    assert [signed(points) for points in (37.46, -0.44, -0.01)] == ["+37.5", "−0.4", "±0.0"]
