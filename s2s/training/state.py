"""Where a training stands: as a checkpoint keeps it, and since the last record."""

from dataclasses import dataclass, field

from s2s.training.step import Outcome


@dataclass(slots=True)
class Position:
    """Where a training stands, as a checkpoint keeps it.

    Updates done, epoch (from 0) and batches of it done, the update last validated, the best figure and its update,
    validations since without a better one, target tokens and seconds of training, every validation's update and figure;
    what the learning rate is multiplied with; updates skipped, in all and in a row just now, and returns to a
    checkpoint because of them; what is computed at once (0: all of a batch) and how often memory made that smaller.
    """

    update: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = -float("inf")
    best_update: int = 0
    worse: int = 0
    validated: int = -1
    tokens: int = 0
    seconds: float = 0.0
    figures: list[tuple[int, float]] = field(default_factory=list)
    lr_factor: float = 1.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    returns: int = 0
    micro_batch_tokens: int = 0
    splits: int = 0


@dataclass(slots=True)
class Window:
    """What has been trained since the last record: when it began and was shown; the loss (nats) summed over target
    tokens of this process, `share`; those of all, `tokens`; the last gradient's norm; and the last learning rate.
    """

    begun: float
    shown: float = 0.0
    loss: float = 0.0
    share: int = 0
    tokens: int = 0
    norm: float = 0.0
    rate: float = 0.0

    def add(self, outcome: Outcome, rate: float) -> None:
        """Take in an update; the loss of one that was skipped is left out."""
        self.tokens += outcome.tokens
        self.norm, self.rate = outcome.norm, rate
        if outcome.taken:
            self.loss += outcome.loss
            self.share += outcome.share
