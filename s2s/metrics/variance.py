"""Scores and differences with intervals that cover the choice of sentences and the chance in training.

A system is trained from several seeds, and every training translates the same sentences: seeds are crossed with
sentences. The variance of a mean over the seeds is the sum of two parts,

    V = V_seed + V_sentence,    V_seed = Σ s² / k over the systems, of the scores of their k seeds,

with V_sentence the variance of the mean over the seeds on resampled sentences. The interval is that of Student's t with
the degrees of freedom of Satterthwaite (1946, equation 17). A percentile bootstrap over seeds and sentences is too
narrow for three seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from s2s.metrics.resampling import Floats

NORMAL = 1e6  # degrees of freedom; with more, Student's t is normal, and beyond the precision of its integral
POWER = 2.8  # standard errors: a true difference that large is found at the 5 % level 80 times in 100


@dataclass(frozen=True)
class Estimate:
    """A score of one system, or the difference of two, in points."""

    value: float  # mean over the seeds
    sentences: float  # its standard error by the choice of sentences, √V_sentence
    seeds: float | None  # by chance in training, √V_seed; None with one seed, where it is unknown
    degrees: float | None  # of freedom; None: infinite

    @property
    def error(self) -> float:
        """Standard error, √V."""
        return math.hypot(self.sentences, self.seeds or 0.0)

    @cached_property
    def interval(self) -> float:
        """Half the width of the 95 % interval."""
        return t_quantile(self.degrees) * self.error if self.error else 0.0

    @property
    def p_value(self) -> float:
        """Two-sided p-value of a true value of zero."""
        if not self.value:
            return 1.0
        return t_tails(self.value / self.error, self.degrees) if self.error else 0.0

    @property
    def detectable(self) -> float:
        """Smallest true difference that a test at the 5 % level finds with a probability of 80 %."""
        return POWER * self.error


def estimate(scores: Sequence[float], resampled: Floats, baseline: Sequence[float] = ()) -> Estimate:
    """Estimate the score of a system, or its difference from a baseline.

    `scores`, `baseline`: the scores of each seed. `resampled` [R]: the same score or difference, as a mean over the
    seeds, on each resample of the sentences. If a system has one seed, only the sentences are covered.
    """
    systems = [np.array(own, np.float64) for own in (scores, baseline) if len(own)]
    value = float(systems[0].mean() - sum(other.mean() for other in systems[1:]))
    by_sentence = float(resampled.var(ddof=1))
    if min(map(len, systems)) < 2:
        return Estimate(value, math.sqrt(by_sentence), None, None)
    parts = [(float(own.var(ddof=1)) / len(own), len(own) - 1) for own in systems]
    by_seed = sum(part for part, _ in parts)
    spread = sum(part**2 / degrees for part, degrees in parts)
    degrees = (by_seed + by_sentence) ** 2 / spread if spread else None
    return Estimate(value, math.sqrt(by_sentence), math.sqrt(by_seed), degrees)


def t_tails(t: float, degrees: float | None) -> float:
    """Return the probability that Student's t is at least as far from zero as `t`; `degrees` None: normal."""
    if degrees is None or degrees > NORMAL:
        return math.erfc(abs(t) / math.sqrt(2))
    from mpmath import betainc

    return float(betainc(degrees / 2, 0.5, 0, degrees / (degrees + t * t), regularized=True))


@lru_cache
def t_quantile(degrees: float | None, tails: float = 0.05) -> float:
    """Return the t beyond which, on both sides together, lies a probability of `tails`."""
    low, high = 0.0, 2.0
    while t_tails(high, degrees) > tails:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tails(middle, degrees) > tails else (low, middle)
    return (low + high) / 2
