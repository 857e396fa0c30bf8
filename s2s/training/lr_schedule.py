"""The learning rate as a function of the update."""

from math import cos, pi, sqrt

from s2s.recipe.training import TrainingOptions


def learning_rate(options: TrainingOptions, update: int, done: float, warmup_done: float) -> float:
    """Return the learning rate of update number `update` (from 0) after a fraction `done` (0 to 1) of the training.

    It rises linearly to `options.lr` in the last update of warm-up and decays over what remains of the training after
    `warmup_done`, the fraction that warm-up took. inverse_sqrt decays as √(warm-up / updates) (Vaswani et al. 2017,
    equation 3); cosine is half a period (Loshchilov and Hutter 2017, equation 5, without restarts). With plateau, the
    caller multiplies by its own factor.
    """
    if update < options.warmup:
        return options.lr * ((update + 1) / options.warmup)
    decayed = (done - warmup_done) / (1 - warmup_done) if warmup_done < 1 else 1.0
    decay = {
        "linear": 1 - decayed,
        "cosine": (1 + cos(pi * decayed)) / 2,
        "inverse_sqrt": sqrt(max(options.warmup, 1) / (update + 1)),
    }
    return options.lr * decay.get(options.lr_schedule, 1.0)
