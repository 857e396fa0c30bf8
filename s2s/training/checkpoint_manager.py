"""Checkpoints of a run: save, restore and prune them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from s2s.models.encoder_decoder import EncoderDecoder
from s2s.training.averaging import MovingAverage, Weights, average_weights
from s2s.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    load_checkpoint,
    load_latest,
    prune_checkpoints,
    remove_checkpoints,
    save_checkpoint,
)
from s2s.training.optimizer import optimizer_tensors, restore_optimizer
from s2s.training.rng import restore_rng, rng_state
from s2s.training.state import TrainState
from s2s.training.step import Learner


class CheckpointManager:
    """Saves and restores a training, and removes the checkpoints it no longer needs.

    `checkpoints/` in the run's directory holds those written after a validation, `stopped/` the one written after a
    signal.
    """

    def __init__(
        self, directory: Path, network: EncoderDecoder, learner: Learner, average: MovingAverage | None, keep: int
    ) -> None:
        """Manage the checkpoints in a run's directory; `keep` is how many of the newest to keep."""
        self.network = network
        self.learner = learner
        self.average = average
        self.keep = keep
        self._validated, self._stopped = directory / "checkpoints", directory / "stopped"

    def save(self, state: TrainState, *, stopped: bool = False) -> None:
        """Save the training. All processes call this; the main one writes."""
        distributed = self.learner.distributed
        checkpoint = Checkpoint(
            model=self.network.weights(),
            optimizer=optimizer_tensors(self.learner.optimizer, self.network),
            state={"train_state": asdict(state), "rng": distributed.all_gather(rng_state())},
            average=self.average.weights if self.average else None,
        )
        directory = self._stopped if stopped else self._validated
        distributed.broadcast_from_main(lambda: save_checkpoint(directory, state.update, checkpoint))

    def latest(self, *, stopped: bool = True) -> Checkpoint | None:
        """Return the newest intact checkpoint, or None; with `stopped`, the one saved after a signal counts too."""
        return load_latest([self._validated, self._stopped] if stopped else [self._validated])

    def restore(self, checkpoint: Checkpoint) -> TrainState:
        """Restore weights, average, optimizer and random generators, and return the state to continue from."""
        self.network.load_weights(checkpoint.model)
        if self.average and checkpoint.average:
            self.average.load_weights(checkpoint.average)
        restore_optimizer(self.learner.optimizer, self.network, checkpoint.optimizer)
        restore_rng(checkpoint.state["rng"], self.learner.distributed.rank)
        return TrainState(**checkpoint.state["train_state"])

    def prune(self, kept: Collection[int]) -> None:
        """Remove the checkpoints that are neither among the newest nor `kept` by their update."""
        prune_checkpoints(self._validated, self.keep, kept)
        remove_checkpoints(self._stopped)

    def average_of(self, updates: Sequence[int]) -> Weights:
        """Return the mean weights of the checkpoints of these updates."""
        return average_weights(
            [load_checkpoint(checkpoint_path(self._validated, update)).evaluated for update in updates]
        )
