"""Memory that training takes on each of the devices that share a network.

Weights, gradients and optimizer are exact. Estimates: activations, and what FSDP gathers. The activations of a
Transformer come from networks with one and two layers: each further layer adds as much as the second.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import nn

from s2s.devices.runtime import Precision
from s2s.models.dry_run import DryRun
from s2s.models.embedding import Embedding
from s2s.models.encoder_only import EncoderOnly, relative_sizes
from s2s.models.interface import Objective
from s2s.models.profile import BatchShape, Cost, meta_model, training_cost, training_shape
from s2s.models.sizes import Sizes
from s2s.recipe.recipe import Recipe
from s2s.recipe.sides import TransformerEncoderOptions

Parallel = Literal["none", "ddp", "fsdp"]


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes of activations at the peak of a training step."""

    stored: int  # of all layers
    recomputed: int | None  # of one layer, and the inputs of the others; None without Transformer blocks
    copies: int  # bf16 copies of weights, which autocast keeps from the forward to the backward pass
    copies_recomputed: int  # of one layer


@dataclass(frozen=True, slots=True)
class Way:
    """A way to train on several devices."""

    parallel: Parallel
    devices: int
    recompute: bool  # compute the activations of a block again in the backward pass (Chen et al. 2016)
    tokens: int  # computed at once on each device


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Bytes on each device."""

    weights: int  # 4 per parameter; divided by the devices with FSDP, as the next two
    gradients: int  # 4 per parameter; FSDP keeps them whole until the last micro-batch of several
    optimizer: int  # 8 per parameter
    copies: int  # bf16 copies of weights
    gathered: int  # weights, and gradients that are not accumulated, of the units FSDP has gathered
    activations: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.weights + self.gradients + self.optimizer + self.copies + self.gathered + self.activations


def share(recipe: Recipe, devices: int) -> int:
    """Return the tokens of a batch that each of several devices computes."""
    return -(-recipe.training.batch_tokens // devices)


def network_of(recipe: Recipe) -> nn.Module:
    """Build a recipe's network on the meta device.

    In encoder-only networks, learned positions stand in for relative ones.
    """
    model = recipe.model
    if not isinstance(model.encoder, TransformerEncoderOptions) or model.decoder is not None:
        return meta_model(recipe)
    with torch.device("meta"), DryRun():
        return EncoderOnly(model.encoder, Embedding(recipe.tokenizer.vocab_size, model.embedding_size), model.dropout)


def sizes_of(recipe: Recipe) -> Sizes:
    """Return the sizes of a recipe's network."""
    encoder = recipe.model.encoder
    if isinstance(encoder, TransformerEncoderOptions) and encoder.positions == "relative":
        return relative_sizes(encoder, recipe.model.embedding_size, recipe.tokenizer.vocab_size)
    return Sizes.of(network_of(recipe))


class DevicePlanner:
    """Computes the memory of a recipe's training for any way of sharing it among GPUs."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._activations: dict[tuple[int, Precision], Activations] = {}

    @cached_property
    def sizes(self) -> Sizes:
        """Sizes of the recipe's network."""
        return sizes_of(self.recipe)

    def memory(self, way: Way, precision: Precision) -> DeviceMemory | None:
        """Return the memory on each device; None if the network has no blocks to be sharded or recomputed."""
        activations = self.activations(way.tokens, precision)
        sharded, whole = way.parallel == "fsdp", self.sizes.parameters
        found = activations.recomputed if way.recompute else activations.stored
        if found is None or (sharded and activations.recomputed is None):
            return None
        own = self.sizes.shard(way.devices) if sharded else whole
        accumulates = way.tokens < share(self.recipe, way.devices)
        return DeviceMemory(
            weights=4 * own,
            gradients=4 * (whole if accumulates else own),
            optimizer=8 * own,
            copies=activations.copies_recomputed if way.recompute else activations.copies,
            gathered=4 * self.sizes.gathered * (1 if accumulates else 2) if sharded else 0,
            activations=found,
        )

    def activations(self, tokens: int, precision: Precision) -> Activations:
        """Return the activations of a batch with typical sentences of so many tokens together."""
        if (tokens, precision) not in self._activations:
            self._activations[tokens, precision] = self._estimated(training_shape(self.recipe, tokens), precision)
        return self._activations[tokens, precision]

    def _estimated(self, shape: BatchShape, precision: Precision) -> Activations:
        sides = self.recipe.model.transformers
        if sides.keys() != self.recipe.model.sides.keys():
            cost = self._cost({}, shape, precision)
            return Activations(cost.work - cost.copies, None, cost.copies, 0)
        one = dict.fromkeys(sides, 1)
        first = self._cost(one, shape, precision)
        stored = recomputed = first.work - first.copies
        copies = first.copies
        for name, side in sides.items():
            second = self._cost(one | {name: 2}, shape, precision)
            copies += (side.layers - 1) * (second.copies - first.copies)
            stored += (side.layers - 1) * (second.work - second.copies - first.work + first.copies)
            recomputed += (side.layers - 1) * self._block_input(shape)
        return Activations(stored, recomputed, copies, first.copies)

    def _cost(self, layers: dict[str, int], shape: BatchShape, precision: Precision) -> Cost:
        """Return the cost of training the recipe's network with other numbers of layers."""
        model = self.recipe.model
        changes = {}
        for name, count in layers.items():
            change = {"layers": count} | ({"attention_layer": -1} if name == "decoder" else {})
            changes[name] = model.transformers[name].model_copy(update=change)
        recipe = self.recipe.model_copy(update={"model": model.model_copy(update=changes)})
        objective = Objective.of(recipe.training)
        return training_cost(network_of(recipe), shape, precision, objective, kind="cuda")

    def _block_input(self, shape: BatchShape) -> int:
        """Return the bytes of what a block reads: source and target of decoder-only ones, and keys and values."""
        vectors = 4 if self.recipe.model.architecture == "decoder_only" else 1
        return 4 * vectors * shape.sentences * shape.positions * self.recipe.model.embedding_size
