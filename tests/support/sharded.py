"""What three processes do in the tests of sharded training: `python sharded.py RANK DIRECTORY`.

They train a tiny Transformer as two processes, then as three, then as one, from each other's checkpoints, and leave
whole tensors and figures in the directory.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor

from s2s.data.collate import pair_batch
from s2s.data.sources import Sentences
from s2s.models.build import build_model
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import TransformerDecoderOptions, TransformerEncoderOptions
from s2s.recipe.training import TrainingOptions
from s2s.training.averaging import MovingAverage
from s2s.training.checkpoint import checkpoint_path, load_checkpoint
from s2s.training.checkpoint_manager import CheckpointManager
from s2s.training.distributed import DistributedContext
from s2s.training.optimizer import optimizer_tensors
from s2s.training.sharding import gathered
from s2s.training.state import TrainState
from s2s.training.step import Learner, StepResult, train_step

V, H, F, HEADS = 17, 10, 7, 2  # only H and HEADS divide by two, and none by three
BLOCKS = {"layers": 2, "heads": HEADS, "ffn_size": F}
CPU = torch.device("cpu")
ARCHITECTURES = ("encoder-decoder", "decoder-only")


class Training:
    """A training that computes the same in any number of processes."""

    def __init__(
        self, directory: Path, world: DistributedContext, *, dropout: float = 0.0, decoder_only: bool = False
    ) -> None:
        torch.manual_seed(3)
        model = ModelOptions(
            architecture="decoder_only" if decoder_only else "encoder_decoder",
            embedding_size=H,
            encoder=None if decoder_only else TransformerEncoderOptions(family="transformer", **BLOCKS),
            decoder=TransformerDecoderOptions(family="transformer", **BLOCKS),
            tied_embeddings="all",
            dropout=dropout,
        )
        options = TrainingOptions(clip_norm=0.5, weight_decay=0.1, ema=0.7, parallel="fsdp", freeze=["decoder.norm.*"])
        self.directory = directory
        self.network = build_model(model, V).train()
        self.learner = Learner(self.network, options, CPU, "fp32", world)
        self.average = MovingAverage(self.network, options.ema)
        self.checkpoints = CheckpointManager(directory, self.network, self.learner, self.average, keep=9)
        self.state = TrainState()
        torch.manual_seed(world.rank)

    def step(self, *, micro_batch_tokens: int = 0) -> StepResult:
        """Take a step on the batch of the next update."""
        self.state.advance(0, 100)
        result = train_step(self.learner, *batch(self.state.update), lr=0.03, micro_batch_tokens=micro_batch_tokens)
        self.average.update(self.state.update)
        return result

    def restore(self, update: int) -> None:
        """Restore the checkpoint of an update."""
        self.state = self.checkpoints.restore(load_checkpoint(checkpoint_path(self.directory / "checkpoints", update)))

    def everything(self) -> dict[str, Tensor]:
        """Return weights, averages, moments and step counts, whole."""
        optimizer = optimizer_tensors(self.learner.optimizer, self.network)
        parts = {"weights": self.network.weights(), "average": self.average.weights, "optimizer": optimizer}
        found = {f"{part} {name}": value for part, values in parts.items() for name, value in values.items()}
        whole = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in found.items()}
        return {name: value.clone() for name, value in whole.items()}

    def leave(self, name: str) -> None:
        """Leave everything in a file for the tests."""
        whole = self.everything()
        if self.learner.distributed.main:
            save_file(whole, self.directory / f"{name}.safetensors")


def batch(number: int) -> tuple[Sentences, Sentences]:
    """Return the pairs of an update: the second has one, so that other processes have nothing to compute."""
    random = np.random.default_rng(number)
    count = 1 if number == 2 else 5
    sources, targets = ([random.integers(4, V, random.integers(1, 9)).tolist() for _ in range(count)] for _ in "st")
    return sources, targets


@contextlib.contextmanager
def world_of(rank: int, size: int, directory: Path, name: str) -> Iterator[DistributedContext]:
    """Connect the first `size` processes inside the block."""
    store = distributed.FileStore(str(directory / name), size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        yield DistributedContext(rank, size, rank, size, launched=True)
    finally:
        distributed.destroy_process_group()


def two_processes(directory: Path, world: DistributedContext) -> dict[str, Any]:
    """Train with dropout, save, go on; go on again from the checkpoint; skip an update."""
    training = Training(directory, world, dropout=0.3)
    for _ in range(3):
        training.step(micro_batch_tokens=12)
    training.checkpoints.save(training.state)
    training.leave("saved by two")
    training.step()
    training.leave("uninterrupted")
    training = Training(directory, world, dropout=0.3)
    training.restore(3)
    training.step()
    training.leave("resumed")

    before = training.everything()
    if world.rank == 1:
        poison = training.network.register_forward_hook(lambda *all: replace(all[2], loss=all[2].loss * torch.nan))
    result = training.step()
    training.state.update -= 1
    if world.rank == 1:
        poison.remove()
    after = training.everything()
    kept = all(torch.equal(after[name], value) for name, value in before.items() if "average" not in name)
    return {"poisoned": {"applied": result.applied, "kept": kept, "goes on": training.step().applied}}


def three_processes(directory: Path, world: DistributedContext) -> dict[str, Any]:
    """Go on from the checkpoint of two processes, and save; compute without dropout, to be compared."""
    training = Training(directory, world, dropout=0.3)
    training.restore(3)
    training.leave("read by three")
    training.step()
    training.checkpoints.save(training.state)
    training.leave("saved by three")
    figures = {name: steps(directory, world, decoder_only=name == "decoder-only") for name in ARCHITECTURES}
    training = Training(directory, world)
    with gathered(training.network):
        alone = [figure(training) for _ in range(1 + world.rank)]  # without the other processes
    shapes = {name: list(value.to_local().shape) for name, value in training.network.named_parameters()}  # type: ignore
    return {"steps": figures, "gathered": alone[0], "shapes": world.all_gather(shapes)}


def one_process(directory: Path) -> dict[str, Any]:
    """Read the checkpoint of three processes, and compute without dropout."""
    world = DistributedContext()
    training = Training(directory, world, dropout=0.3)
    training.restore(4)
    training.leave("read by one")
    figures = {name: steps(directory, world, decoder_only=name == "decoder-only") for name in ARCHITECTURES}
    return {"alone": figures, "whole": figure(Training(directory, world))}


def steps(directory: Path, world: DistributedContext, *, decoder_only: bool) -> list[list[float]]:
    """Return loss and gradient norm of a few steps; the last ones accumulate gradients."""
    training, found = Training(directory, world, decoder_only=decoder_only), []
    for update in range(6):
        result = training.step(micro_batch_tokens=12 if update > 2 else 0)
        found.append([*world.all_reduce_sums(result.loss), result.gradient_norm])
    return found


@torch.no_grad()
def figure(training: Training) -> float:
    """Return the loss of a batch."""
    return float(training.network(pair_batch(*batch(1), CPU)).loss)


def main(rank: int, directory: Path) -> None:
    """Train as two, three and one processes."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    if rank < 2:
        with world_of(rank, 2, directory, "two") as world:
            found |= two_processes(directory, world)
    with world_of(rank, 3, directory, "three") as world:
        found |= three_processes(directory, world)
    if rank == 0:
        (directory / "found.json").write_text(json.dumps(found | one_process(directory)))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
