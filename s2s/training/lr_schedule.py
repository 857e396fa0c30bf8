"""The learning rate as a function of the update."""

from math import cos, pi, sqrt

from s2s.recipe.training import TrainingOptions


def learning_rate(options: TrainingOptions, update: int, done: float) -> float:
    """Return the learning rate of update number `update` (from 0) after a fraction `done` (0 to 1) of the training.

    inverse_sqrt decays as √(warm-up / updates) (Vaswani et al. 2017, equation 3); cosine is half a period (Loshchilov
    and Hutter 2017, equation 5, without restarts). With plateau, the caller multiplies by its own factor.
    """
    warmup = min(1.0, (update + 1) / options.warmup) if options.warmup else 1.0
    decay = {
        "linear": 1 - done,
        "cosine": (1 + cos(pi * done)) / 2,
        "inverse_sqrt": min(1.0, sqrt(max(options.warmup, 1) / (update + 1))),
    }
    return options.lr * warmup * decay.get(options.lr_schedule, 1.0)
