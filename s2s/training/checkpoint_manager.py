"""Checkpoints of a run: save, restore and prune them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError

from s2s.devices.memory import is_out_of_memory
from s2s.errors import ArtefactError
from s2s.io.json_values import validate
from s2s.models.network import Network
from s2s.training.averaging import MovingAverage, mean
from s2s.training.checkpoint import (
    Checkpoint,
    StoredCheckpoint,
    checkpoint_path,
    is_intact,
    load_checkpoint,
    newest_intact,
    prune_checkpoints,
    remove_checkpoints,
    save_checkpoint,
)
from s2s.training.optimizer import optimizer_tensors, restore_optimizer
from s2s.training.rng import restore_rng, rng_state
from s2s.training.runs.record import CHECKPOINTS, STOPPED, complete_checkpoints
from s2s.training.sharding import load_stored, read_optimizer
from s2s.training.state import TrainState
from s2s.training.step import Learner


class CheckpointManager:
    """Saves and restores a training, and removes the checkpoints it no longer needs.

    `checkpoints/` in the run's directory holds those written after a validation, `stopped/` the one written after a
    signal.
    """

    def __init__(
        self, directory: Path, network: Network, learner: Learner, average: MovingAverage | None, keep: int
    ) -> None:
        """Manage the checkpoints in a run's directory; `keep` is how many of the newest to keep."""
        self.network = network
        self.learner = learner
        self.average = average
        self.keep = keep
        self._validated, self._stopped = directory / CHECKPOINTS, directory / STOPPED

    def save(self, state: TrainState, *, stopped: bool = False) -> None:
        """Save the training. All processes call this."""
        distributed = self.learner.distributed
        checkpoint = Checkpoint(
            model=self.network.weights(),
            optimizer=optimizer_tensors(self.learner.optimizer, self.network),
            state={"train_state": asdict(state), "rng": distributed.all_gather(rng_state())},
            average=self.average.weights if self.average else None,
        )
        directory = self._stopped if stopped else self._validated
        save_checkpoint(directory, state.update, checkpoint, distributed)

    def latest(self, *, stopped: bool = True) -> StoredCheckpoint | None:
        """Return the newest intact checkpoint; with `stopped`, the one saved after a signal counts too.

        None if none was ever saved. All processes call this.
        Raises: ArtefactError if all are damaged or have another schema.
        """
        directories = [self._validated, self._stopped] if stopped else [self._validated]
        path = self.learner.distributed.broadcast_from_main(lambda: newest_intact(directories))
        return load_checkpoint(path) if path else None

    def restore(self, checkpoint: StoredCheckpoint) -> TrainState:
        """Restore weights, average, optimizer and random generators, and return the state to continue from.

        Raises: ArtefactError if the checkpoint does not fit the network.
        """
        try:
            state = validate(TrainState, checkpoint.state["train_state"], "the checkpoint")
            load_stored(self.network.weights(), checkpoint.model)
            if self.average:  # without one in the checkpoint, it starts from the weights
                load_stored(self.average.weights, checkpoint.evaluated)
            optimizer = read_optimizer(checkpoint.optimizer, self.network)
            restore_optimizer(self.learner.optimizer, self.network, optimizer)
            restore_rng(checkpoint.state["rng"], self.learner.distributed.rank)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            if is_out_of_memory(error):
                raise
            raise ArtefactError(f"the checkpoint does not fit the run: {error}") from error
        return state

    def intact(self, updates: Sequence[int]) -> list[int]:
        """Return those of the updates whose checkpoint is intact. All processes call this."""

        def check() -> list[int]:
            saved = set(complete_checkpoints(self._validated))
            paths = {update: checkpoint_path(self._validated, update) for update in updates}
            return [update for update, path in paths.items() if path in saved and is_intact(path)]

        return self.learner.distributed.broadcast_from_main(check)

    def prune(self, kept: Collection[int]) -> None:
        """Remove the checkpoints that are neither among the newest nor `kept` by their update."""
        prune_checkpoints(self._validated, self.keep, kept)
        self.discard_stopped()

    def discard_stopped(self) -> None:
        """Remove the checkpoint saved after a signal."""
        remove_checkpoints(self._stopped)

    def load_mean(self, updates: Sequence[int], network: Network) -> None:
        """Load the mean weights of the checkpoints of these updates, one tensor at a time."""
        several = [load_checkpoint(checkpoint_path(self._validated, update)).evaluated for update in updates]
        for name, value in network.weights().items():
            value.copy_(mean([weights[name] for weights in several]))
