"""The scaling law: its parameters are found again, and intervals hold what they should."""

import numpy as np
import pytest

from s2s.comparison.scaling.law import Law, Sample, bootstrap, fit_law

SIZES = [(25, 34), (57, 76), (100, 134), (200, 67), (50, 200), (224, 299), (448, 149), (112, 448), (397, 529)]
LAW = Law(alpha=40.0, pe=0.31, pd=0.12, floor=0.287)


def samples(noise: float = 0.0, seed: int = 3) -> list[Sample]:
    errors = np.random.default_rng(seed).normal(0, noise, len(SIZES))
    return [
        Sample(1000 * ne, 1000 * nd, LAW.loss(1000 * ne, 1000 * nd) + error)
        for (ne, nd), error in zip(SIZES, errors, strict=True)
    ]


def test_the_law_of_exact_losses_is_found() -> None:
    found = fit_law(samples())
    assert found.floor == pytest.approx(LAW.floor, abs=2e-4)
    assert (found.pe, found.pd) == pytest.approx((LAW.pe, LAW.pd), rel=2e-3)
    assert found.loss(900_000, 1_200_000) == pytest.approx(LAW.loss(900_000, 1_200_000), abs=1e-4)


def test_no_other_law_nearby_has_smaller_errors() -> None:
    noisy = samples(0.01)

    def squares(law: Law) -> float:
        return sum((law.loss(one.encoder, one.decoder) - one.loss) ** 2 for one in noisy)

    found = fit_law(noisy)
    for floor in np.linspace(0, min(one.loss for one in noisy), 50, endpoint=False):
        for pe in found.pe + np.array([-0.05, 0, 0.05]):
            other = Law(found.alpha * 100_000 ** (pe - found.pe), pe, found.pd, floor)
            assert squares(other) > 0.98 * squares(found)


def test_intervals_hold_the_truth_and_grow_with_noise() -> None:
    widths = []
    for noise in (0.002, 0.02):
        found = bootstrap(samples(noise), seed=5, resamples=200)
        low, high = found.prediction_interval(900_000, 1_200_000)
        assert low < LAW.loss(900_000, 1_200_000) < high
        assert found.interval("pe")[0] < LAW.pe < found.interval("pe")[1]
        widths.append(high - low)
    assert widths[0] < 0.5 * widths[1]


def test_a_seed_gives_the_same_intervals() -> None:
    first, again, other = (bootstrap(samples(0.01), seed=seed, resamples=20) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    "models", [samples()[:4], samples()[:1] * 9, [Sample(n, 2 * n, 1 + 1 / n) for n in range(5, 14)]], ids=len
)
def test_models_that_do_not_determine_the_law_are_refused(models: list[Sample]) -> None:
    with pytest.raises(ValueError, match="too few models"):
        fit_law(models)


def test_a_prediction_is_less_certain_than_the_law() -> None:
    found = bootstrap(samples(0.02), resamples=200)
    laws = [law.loss(224_000, 299_000) for law in found.laws]
    low, high = found.prediction_interval(224_000, 299_000)
    assert high - low > 1.5 * np.ptp(np.quantile(laws, [0.025, 0.975]))
