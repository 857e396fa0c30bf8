"""Weight averaging: an exponential moving average during training, and the mean of several checkpoints."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from s2s.models.encoder_decoder import EncoderDecoder

Weights = dict[str, Tensor]


class MovingAverage:
    """w̄ ← d w̄ + (1 − d) w after each update (Polyak and Juditsky 1992, exponentially weighted).

    d grows with the update t as (1 + t) / (10 + t), up to `decay`, so that the random initial weights are soon
    forgotten.
    """

    def __init__(self, network: EncoderDecoder, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.weights: Weights = {name: value.clone() for name, value in network.weights().items()}

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Add the network's weights after update `number` (from 1)."""
        decay = min(self.decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(list(self.weights.values()), list(self.network.weights().values()), 1 - decay)

    def load_weights(self, weights: Weights) -> None:
        """Restore a stored average."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Use the average as the network's weights inside the block."""
        own = {name: value.clone() for name, value in self.network.weights().items()}
        self.network.load_weights(self.weights)
        try:
            yield
        finally:
            self.network.load_weights(own)


def average_weights(checkpoints: Sequence[Weights]) -> Weights:
    """Return the mean of several checkpoints, summed in fp64 (Junczys-Dowmunt et al. 2016, section 3.1)."""
    return {
        name: torch.stack([weights[name] for weights in checkpoints]).double().mean(0).to(value.dtype)
        for name, value in checkpoints[0].items()
    }
