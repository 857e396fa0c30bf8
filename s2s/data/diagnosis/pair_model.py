"""How well two lines match: by their lengths and frequent trigrams, and the numbers and placeholders in them.

N: line pairs; F: features; K: canonical variables.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from s2s.data.diagnosis.features import Floats, Sides

SHRINKAGE = 0.01  # of the covariances to their diagonal
# Bounds of the correlations. Copies have 1, which would rule out any other pair. Trigrams are present or not, which no
# normal distribution describes: with .7, 2 % of the pairs of Multi30k match worse than unrelated ones, with .9 10 %.
MAX_LENGTH_CORRELATION = 0.99
MAX_CORRELATION = 0.7
FEATURES_PER_VARIABLE = 4
# Bound of what one pair proves, in nats. Lines that follow each other are alike and prove less than they seem.
MAX_SCORE = 4.0
NOTHING, ONE_SIDE, EQUAL, DIFFERENT = range(4)  # how the marks of two lines compare
MARK_WEIGHTS = -1.0, 4.0  # bounds in nats; a list of months may have numbers on one side only
ROLLS = (17, 29, 53, 97)  # lines between the sides of pairs that are taken as unrelated


@dataclass(frozen=True, slots=True)
class Projected:
    """Canonical variables of N lines, prepared for `PairModel.scores`."""

    source: NDArray[np.float32]  # [N, K]
    target: NDArray[np.float32]  # [N, K], weighted
    source_cost: NDArray[np.float32]  # [N]
    target_cost: NDArray[np.float32]  # [N]
    blank: tuple[NDArray[np.bool_], NDArray[np.bool_]]  # [N], which sources and which targets are


@dataclass(frozen=True, slots=True)
class PairModel:
    """Correlated variables of parallel lines, taken as normally distributed, and weights of their marks.

    The first variable is the log-length; the others are a canonical correlation analysis of trigrams.
    """

    means: tuple[Floats, Floats]  # [F]
    projections: tuple[Floats, Floats]  # [F, K]
    correlations: Floats  # [K], of the variables
    mark_weights: Floats  # [4], nats
    length_correlation: float

    @classmethod
    def fit(cls, sides: Sides) -> Self:
        """Fit the model to lines that are mostly parallel."""
        known = sides[sides.known] if sides.known.any() else sides
        source, target = known.source.astype(np.float64), known.target.astype(np.float64)
        means = source.mean(axis=0), target.mean(axis=0)
        source, target = source - means[0], target - means[1]
        lengths = _canonical(source[:, :1], target[:, :1], 1)
        trigrams = _canonical(source[:, 1:], target[:, 1:], (source.shape[1] - 1) // FEATURES_PER_VARIABLE)
        length_correlation = moments_correlation(length_moments(known))
        correlations = np.concatenate(
            [
                np.minimum(lengths.correlations, MAX_LENGTH_CORRELATION) * (length_correlation > 0),
                np.minimum(trigrams.correlations, MAX_CORRELATION),
            ]
        )
        projections = _blocks(lengths.source, trigrams.source), _blocks(lengths.target, trigrams.target)
        return cls(means, projections, correlations, _mark_weights(sides), length_correlation)

    def project(self, sides: Sides) -> Projected:
        """Return the canonical variables of lines, for `scores` with any shift."""
        source, target = (
            features @ projection.astype(np.float32) - (mean @ projection).astype(np.float32)
            for features, mean, projection in zip(
                (sides.source, sides.target), self.means, self.projections, strict=True
            )
        )
        correlations = self.correlations.astype(np.float32)
        rest = 1 - correlations**2
        cost = 0.5 * correlations**2 / rest
        blank = sides.source[:, 0] < 0, sides.target[:, 0] < 0
        return Projected(source, target * (correlations / rest), source**2 @ cost, target**2 @ cost, blank)

    def scores(self, sides: Sides, projected: Projected, shift: int) -> Floats:
        """Return log p(target | source) - log p(target) of each target and the source `shift` lines later [N].

        In nats; 0 where a side is blank or there is no such source.
        """
        scores = np.zeros(len(sides))
        pairs = sides.shifted(shift)
        targets = slice(max(0, -shift), max(0, -shift) + len(pairs))
        sources = slice(targets.start + shift, targets.stop + shift)
        products = np.einsum("nk,nk->n", projected.source[sources], projected.target[targets])
        ratio = products - projected.source_cost[sources] - projected.target_cost[targets]
        ratio -= 0.5 * np.log(1 - self.correlations**2).sum()
        known = ~(projected.blank[0][sources] | projected.blank[1][targets])
        ratio *= known
        ratio += self.mark_weights[_compare(pairs.source_marks[:, 0], pairs.target_marks[:, 0])]
        ratio[known & (pairs.source_marks[:, 1] == pairs.target_marks[:, 1])] = MAX_SCORE  # copies
        scores[targets] = np.clip(ratio, -MAX_SCORE, MAX_SCORE)
        return scores


def length_moments(sides: Sides) -> Floats:
    """Return sums [6] over pairs without a blank side, of which `moments_correlation` is a function."""
    known = sides.known
    source, target = sides.source[known, 0].astype(np.float64), sides.target[known, 0].astype(np.float64)
    values = (np.ones(len(source)), source, target, source**2, target**2, source * target)
    return np.array([float(value.sum()) for value in values])


def moments_correlation(moments: Floats) -> float:
    """Return the correlation of log-lengths; 0 if those of a side do not vary."""
    _, source, target, sources, targets, products = moments / max(1.0, moments[0])
    variances = (sources - source**2) * (targets - target**2)
    return float((products - source * target) / np.sqrt(variances)) if variances > 1e-9 else 0.0


@dataclass(frozen=True, slots=True)
class _Canonical:
    """Canonical variables of two sets of features."""

    source: Floats  # [F, K], projection
    target: Floats  # [F, K]
    correlations: Floats  # [K], largest first


def _canonical(source: Floats, target: Floats, count: int) -> _Canonical:
    """Return the first `count` canonical variables of centred features [N, F]."""
    whitening = _whitening(source), _whitening(target)
    covariance = source.T @ target / max(1, len(source))
    left, correlations, right = np.linalg.svd(whitening[0] @ covariance @ whitening[1])
    return _Canonical(whitening[0] @ left[:, :count], whitening[1] @ right.T[:, :count], correlations[:count])


def _blocks(first: Floats, second: Floats) -> Floats:
    """Return the block-diagonal matrix of two matrices."""
    blocks = np.zeros((first.shape[0] + second.shape[0], first.shape[1] + second.shape[1]))
    blocks[: first.shape[0], : first.shape[1]] = first
    blocks[first.shape[0] :, first.shape[1] :] = second
    return blocks


def _whitening(features: Floats) -> Floats:
    """Return a matrix [F, F] that makes centred features [N, F] uncorrelated, with variance 1."""
    covariance = features.T @ features / max(1, len(features))
    diagonal = np.diag(np.diag(covariance))
    values, vectors = np.linalg.eigh(
        (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal + 1e-6 * np.eye(len(covariance))
    )
    whitening: Floats = (vectors / np.sqrt(values)) @ vectors.T
    return whitening


def _compare(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return how the marks compare [N]: NOTHING, ONE_SIDE, EQUAL or DIFFERENT."""
    both = (source != 0) & (target != 0)
    one = (source != 0) != (target != 0)
    return np.where(both, np.where(source == target, EQUAL, DIFFERENT), np.where(one, ONE_SIDE, NOTHING))


def _mark_weights(sides: Sides) -> Floats:
    """Return the log-ratio [4] of how often marks compare so in these pairs and in unrelated ones."""
    source, target = sides.source_marks[:, 0], sides.target_marks[:, 0]
    found = np.bincount(_compare(source, target), minlength=4)
    unrelated = np.zeros(4)
    for roll in ROLLS:
        unrelated += np.bincount(_compare(np.roll(source, roll), target), minlength=4)
    smoothed = (found + 1) / (found.sum() + 4), (unrelated / len(ROLLS) + 1) / (found.sum() + 4)
    weights: Floats = np.clip(np.log(smoothed[0] / smoothed[1]), *MARK_WEIGHTS)
    return weights
