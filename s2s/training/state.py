"""The progress of a run: the part stored in checkpoints, and the metrics since the last record."""

from dataclasses import dataclass, field

from pydantic import ConfigDict

from s2s.training.step import StepResult


@dataclass(slots=True)
class TrainState:
    """Everything about a run's progress that a checkpoint must restore."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    update: int = 0  # optimizer steps taken, skipped ones included
    epoch: int = 0  # completed passes over the training data
    batch: int = 0  # next batch of the current epoch
    tokens: int = 0  # target tokens trained on
    seconds: float = 0.0  # training time, validation excluded
    validated: int = -1  # update of the last validation
    validations: list[tuple[int, float]] = field(default_factory=list)  # update and metric of each; larger is better
    best_metric: float | None = None  # best metric so far
    best_update: int = 0  # update of the best metric
    bad_validations: int = 0  # validations since the best one
    warmup_done: float = 0.0  # fraction of the training that was done when warm-up ended
    lr_factor: float = 1.0  # multiplies the learning rate of the schedule
    skipped: int = 0  # updates skipped because the loss or gradient was not finite
    consecutive_skips: int = 0  # how many of them since the last update that was applied
    rollbacks: int = 0  # returns to a checkpoint because of them
    micro_batch_tokens: int = 0  # tokens computed at once; 0: the whole batch
    oom_splits: int = 0  # how often running out of memory made micro_batch_tokens smaller

    def advance(self, tokens: int, batches: int) -> None:
        """Count an update of `tokens` target tokens in an epoch of `batches` batches."""
        self.update += 1
        self.tokens += tokens
        self.batch += 1
        if self.batch == batches:
            self.epoch, self.batch = self.epoch + 1, 0

    def update_best(self, metric: float) -> bool:
        """Record the finite metric of a validation, larger is better; return whether it is the best so far."""
        self.validated = self.update
        self.validations = [*self.validations, (self.update, metric)]
        if self.best_metric is None or metric > self.best_metric:
            self.best_metric, self.best_update, self.bad_validations = metric, self.update, 0
            return True
        self.bad_validations += 1
        return False


@dataclass(slots=True)
class MetricsWindow:
    """Metrics summed since the last record."""

    started: float  # clock when the window began, seconds
    shown: float = 0.0  # clock when progress was last shown, seconds
    loss: float = 0.0  # sum over this process's target tokens, nats
    local_tokens: int = 0  # target tokens of this process whose loss is included
    tokens: int = 0  # target tokens of all processes
    gradient_norm: float = 0.0  # of the last update, before clipping
    lr: float = 0.0  # of the last update

    def add(self, result: StepResult, lr: float) -> None:
        """Add an update; the loss of a skipped one is left out."""
        self.tokens += result.tokens
        self.gradient_norm, self.lr = result.gradient_norm, lr
        if result.applied:
            self.loss += result.loss
            self.local_tokens += result.local_tokens
