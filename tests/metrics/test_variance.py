"""Intervals of scores and differences over seeds and sentences."""

import math

import numpy as np
import pytest

from s2s.metrics import resampling
from s2s.metrics.resampling import Floats, LineStatistics, LineValues, resampled_scores
from s2s.metrics.scores import score_corpus
from s2s.metrics.variance import Estimate, estimate, t_quantile, t_tails

REFERENCES = [f"line {i} says {i * i} and then {i % 7} more words" for i in range(40)]
OUTPUTS = [line.replace("and then", "or") if i % 3 else line for i, line in enumerate(REFERENCES)]


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (4, 2.7764),
        (30, 2.0423),
        (1e5, 1.9600),
        (1e7, 1.9600),
        (1e60, 1.9600),
        (None, 1.9600),
    ],
)  # of the tables of Student's t
def test_quantiles_of_students_t(degrees: float | None, quantile: float) -> None:
    assert t_quantile(degrees) == pytest.approx(quantile, abs=1e-4)
    assert t_tails(-quantile, degrees) == pytest.approx(0.05, abs=1e-5)


def test_variances_add_up() -> None:
    resampled = np.array([1.0, 2.0, 4.0, 5.0])
    found = estimate([30.0, 31.0, 35.0], resampled, baseline=[20.0, 22.0])
    by_seed, by_sentence = 7 / 3 + 2 / 2, 10 / 3
    assert found.value == pytest.approx(32 - 21)
    assert (found.seeds, found.sentences) == pytest.approx((math.sqrt(by_seed), math.sqrt(by_sentence)))
    assert found.error == pytest.approx(math.sqrt(by_seed + by_sentence))
    assert found.degrees == pytest.approx((by_seed + by_sentence) ** 2 / ((7 / 3) ** 2 / 2 + 1**2 / 1))
    assert found.interval == pytest.approx(t_quantile(found.degrees) * found.error)
    assert found.detectable == pytest.approx(2.8 * found.error)


def test_seeds_that_differ_by_rounding_alone_leave_the_interval_of_the_sentences() -> None:
    resampled = np.array([1.0, 2.0, 4.0, 5.0])
    found = estimate([99.8, 99.8 + 1e-13, 99.8 - 1e-13], resampled)
    assert found.interval == pytest.approx(1.95996 * math.sqrt(10 / 3), abs=1e-4)


def test_one_seed_covers_sentences_only() -> None:
    resampled = np.array([1.0, 2.0, 4.0, 5.0])
    for scores, baseline in [([31.0], [20.0, 22.0]), ([31.0, 32.0], [20.0]), ([31.0], [])]:
        found = estimate(scores, resampled, baseline)
        assert found.seeds is None
        assert found.interval == pytest.approx(1.95996 * math.sqrt(10 / 3), abs=1e-4)


def test_no_difference_is_no_finding() -> None:
    assert Estimate(0.0, 0.0, None, None).p_value == 1
    assert Estimate(3.0, 0.0, None, None).p_value == 0
    assert Estimate(1.96, 1.0, None, None).p_value == pytest.approx(0.05, abs=1e-4)


def _p_values(rng: np.random.Generator, seed_deviation: float, simulations: int) -> Floats:
    """Return the p-values of true differences: two systems with three seeds and 200 lines, scored by line means.

    `seed_deviation`: of a training's score, in standard errors of the difference by sentences.
    """
    lines, seeds, samples = 200, 3, 200
    counts = rng.multinomial(lines, np.full(lines, 1 / lines), size=samples) / lines
    found = np.empty(simulations)
    for number in range(simulations):
        line_effects = rng.normal(size=(2, 1, lines))
        error = math.sqrt(2 / lines)
        training = seed_deviation * error * rng.normal(size=(2, seeds, 1))
        systems = line_effects + training + 0.5 * rng.normal(size=(2, seeds, lines))
        difference = systems[1].mean(0) - systems[0].mean(0)
        one, other = systems.mean(2)
        found[number] = estimate(other, counts @ difference, one).p_value
    return found


@pytest.mark.parametrize("seed_deviation", [0, 0.5, 1, 2])
def test_intervals_cover_the_truth(seed_deviation: float) -> None:
    """A 95 % interval covers the true difference, here zero, if and only if its p-value is above 0.05."""
    p_values = _p_values(np.random.default_rng(7), seed_deviation, simulations=2000)
    assert 0.92 <= np.mean(p_values > 0.05) <= 0.98


def test_resampled_scores_are_those_of_resampled_lines() -> None:
    statistics = LineStatistics(OUTPUTS, REFERENCES)
    assert statistics.score() == pytest.approx(score_corpus(OUTPUTS, REFERENCES, ["bleu"])["bleu"].value)
    some = [3, 5, 5, 8]
    own = score_corpus([OUTPUTS[i] for i in some], [REFERENCES[i] for i in some], ["bleu"])["bleu"].value
    assert statistics.score(some) == pytest.approx(own)
    drawn = np.random.default_rng(12345).integers(40, size=(20, 40))
    naive = [statistics.score(list(rows)) for rows in drawn]
    assert resampled_scores([statistics], samples=20)[0] == pytest.approx(naive)


def test_systems_share_resamples() -> None:
    values = LineValues([float(i) for i in range(40)])
    bleu = LineStatistics(OUTPUTS, REFERENCES, "chrf")
    together = resampled_scores([bleu, values, bleu], samples=30)
    assert together.shape == (3, 30)
    assert (together[0] == together[2]).all()
    assert together[1].mean() == pytest.approx(19.5, abs=1.5)
    assert resampled_scores([values], lines=[0, 1], samples=50).max() <= 1


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [LineValues(list(range(40)))]
    whole = resampled_scores(values, samples=30)
    monkeypatch.setattr(resampling, "CHUNK_CELLS", 120)
    assert resampled_scores(values, samples=30).tolist() == whole.tolist()


def test_many_lines_are_resampled_less_often() -> None:
    assert resampled_scores([LineValues(np.zeros(200_000).tolist())]).shape == (1, 100)
