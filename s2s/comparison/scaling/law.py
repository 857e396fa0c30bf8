"""The scaling law of encoder–decoder models, L = α · Ne^−pe · Nd^−pd + L∞ (Ghorbani et al. 2021, equation 1).

Ne, Nd: parameters of encoder and decoder without embeddings. L: loss in nats per token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

PARAMETERS = 4  # of the law
FLOORS = 40  # values of L∞ that are tried at once
REFINEMENTS = 5  # of the range that they are tried in
RESAMPLES = 1000
LEVEL = 0.95  # of intervals


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law."""

    alpha: float
    pe: float
    pd: float
    floor: float  # L∞

    def loss(self, encoder: float, decoder: float) -> float:
        """Return the loss of a model with that many parameters in encoder and decoder."""
        return float(self.alpha * encoder**-self.pe * decoder**-self.pd + self.floor)


@dataclass(frozen=True, slots=True)
class Sample:
    """A model that a law is fitted to."""

    encoder: int  # parameters
    decoder: int
    loss: float


def fit_law(samples: Sequence[Sample]) -> Law:
    """Fit the law to losses, with L∞ below the smallest one.

    For a given L∞, log(L − L∞) is linear in the other parameters; an error in L counts 1 / (L − L∞) times as much
    there, so each sample is weighted by L − L∞. Of the L∞ between 0 and the smallest loss, the one with the least
    squares of the loss is taken. Noisy losses can have a smaller sum of squares elsewhere.
    Raises: ValueError if the samples do not determine the law.
    """
    design, losses = _design(samples), np.array([sample.loss for sample in samples])
    if len(samples) <= PARAMETERS or not _varies(design):
        raise ValueError("too few models, or models whose encoder and decoder always grow together")
    low, high = 0.0, float(losses.min())
    for _ in range(REFINEMENTS):
        floors = np.linspace(low, high, FLOORS, endpoint=False)
        coefficients = _fit_logarithms(design, losses, floors)
        errors = losses - floors[:, None] - np.exp(coefficients @ design.T)
        best = int(np.square(errors).sum(1).argmin())
        found, step = coefficients[best], (high - low) / FLOORS
        floor = float(floors[best])
        low, high = max(low, floor - step), min(high, floor + step)
    log_alpha, pe, pd = found
    return Law(float(np.exp(log_alpha)), float(pe), float(pd), floor)


def _design(samples: Sequence[Sample]) -> Floats:
    """Return the factors [models, 3] of log α, pe and pd."""
    return np.array([[1.0, -np.log(sample.encoder), -np.log(sample.decoder)] for sample in samples])


def _varies(design: Floats) -> bool:
    """Whether encoder and decoder vary, and not only together."""
    return int(np.linalg.matrix_rank(design)) == design.shape[1]


def _fit_logarithms(design: Floats, losses: Floats, floors: Floats) -> Floats:
    """Return the coefficients [floors, 3] of the weighted linear regressions of log(L − L∞)."""
    above = losses - floors[:, None]
    weighted = above[:, :, None] * design
    normal = weighted.transpose(0, 2, 1) @ weighted
    found = np.linalg.solve(normal, weighted.transpose(0, 2, 1) @ (above * np.log(above))[:, :, None])
    return np.asarray(found[:, :, 0], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Laws fitted to resamples of the models."""

    laws: Sequence[Law]
    residuals: Sequence[float]  # of the law of all models, one drawn for each resample

    def interval(self, parameter: str) -> Interval:
        """Return the interval of a parameter of the law."""
        return _interval([getattr(law, parameter) for law in self.laws])

    def prediction_interval(self, encoder: int, decoder: int) -> Interval:
        """Return the interval of a new model's loss: that of the law, and how far models are from it."""
        pairs = zip(self.laws, self.residuals, strict=True)
        return _interval([law.loss(encoder, decoder) + residual for law, residual in pairs])


def bootstrap(samples: Sequence[Sample], *, seed: int = 1, resamples: int = RESAMPLES) -> Bootstrap:
    """Fit the law to resamples of the models, drawn with replacement.

    Resamples that do not determine the law are drawn again. Residuals are enlarged by √(n / (n − 4)), because the law
    of n models was fitted to them.
    """
    generator, law = np.random.default_rng(seed), fit_law(samples)
    laws: list[Law] = []
    while len(laws) < resamples:
        drawn = generator.integers(len(samples), size=len(samples)).tolist()
        resample = [samples[index] for index in drawn]
        if len(set(drawn)) >= PARAMETERS and _varies(_design(resample)):
            laws.append(fit_law(resample))
    residuals = np.array([sample.loss - law.loss(sample.encoder, sample.decoder) for sample in samples])
    residuals *= np.sqrt(len(samples) / (len(samples) - PARAMETERS))
    return Bootstrap(laws, generator.choice(residuals, size=resamples).tolist())


def _interval(values: Sequence[float]) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
