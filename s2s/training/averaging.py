"""Averages of weights: a moving one along the training, and the mean of several checkpoints."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from s2s.models.encoder_decoder import EncoderDecoder

Weights = dict[str, Tensor]


class MovingAverage:
    """w̄ ← d w̄ + (1 − d) w after each update (Polyak and Juditsky 1992, exponentially weighted).

    d rises with the updates t as (1 + t) / (10 + t) up to `decay`, so that the first weights, which are random, are
    soon forgotten.
    """

    def __init__(self, network: EncoderDecoder, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.weights: Weights = {name: value.clone() for name, value in network.weights().items()}

    @torch.no_grad()
    def add(self, update: int) -> None:
        """Take in the network's weights after its update number `update` (from 1)."""
        decay = min(self.decay, (1 + update) / (10 + update))
        torch._foreach_lerp_(list(self.weights.values()), list(self.network.weights().values()), 1 - decay)

    def load(self, weights: Weights) -> None:
        """Go on from an average that was kept."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the average as its weights while the block runs."""
        own = {name: value.clone() for name, value in self.network.weights().items()}
        self.network.load_weights(self.weights)
        try:
            yield
        finally:
            self.network.load_weights(own)


def mean_of(several: Sequence[Weights]) -> Weights:
    """The mean of the weights of several checkpoints, summed in fp64 (Junczys-Dowmunt et al. 2016, section 3.1)."""
    return {
        name: torch.stack([weights[name] for weights in several]).double().mean(0).to(value.dtype)
        for name, value in several[0].items()
    }
