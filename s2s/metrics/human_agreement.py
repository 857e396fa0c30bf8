"""What a difference in a score means: how often people judge two systems the same way.

Kocmi et al. (2024), "Navigating the Metrics Maze: Reconciling Score Magnitudes and Accuracies", fitted the accuracy of
metrics in ranking pairs of translation systems as people do: accuracy = a / (1 + exp(−b · difference)), in percent. The
constants are those that the authors publish as the package mt-thresholds.
"""

import math

from s2s.metrics.scores import Headline

CONSTANTS: dict[Headline, tuple[float, float]] = {  # a, b
    "bleu": (88.33333333333225, 0.9663926931178954),
    "chrf": (92.999999999972, 1.1142732157139852),
}
CHANCE = 50.0  # percent; the fit is below it for small differences
LARGEST = 5.0  # points; larger differences are rare in the data


def human_agreement(difference: float, metric: Headline) -> float | None:
    """Return the percentage of pairs of systems of which people prefer the one with the better score.

    `difference`: in points, of either sign. None where the fit says nothing: below 50 %, and above 5 points.
    """
    a, b = CONSTANTS[metric]
    accuracy = a / (1 + math.exp(-b * abs(difference)))
    return accuracy if accuracy >= CHANCE and abs(difference) <= LARGEST else None
