"""Weight averaging: an exponential moving average during training, and the mean of several checkpoints.

The statistics of BatchNorm do not follow from averaged weights (Izmailov et al. 2018, section 3.2); they are computed
anew for all weights that are validated or published.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from s2s.models.interface import Source
from s2s.models.network import Network

Weights = dict[str, Tensor]


class MovingAverage:
    """w̄ ← d w̄ + (1 − d) w after each update (Polyak and Juditsky 1992, exponentially weighted).

    d grows with the update t as (1 + t) / (10 + t), up to `decay`, so that the random initial weights are soon
    forgotten.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.weights: Weights = {name: value.clone() for name, value in network.weights().items()}

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Add the network's weights after update `number` (from 1)."""
        decay = min(self.decay, (1 + number) / (10 + number))
        weights = self.network.weights()
        real = [name for name, value in weights.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.weights[name] for name in real], [weights[name] for name in real], 1 - decay)
        for name in weights.keys() - set(real):  # counters of BatchNorm
            self.weights[name].copy_(weights[name])

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Use the average as the network's weights inside the block."""
        own = {name: value.clone() for name, value in self.network.weights().items()}
        self.network.load_weights(self.weights)
        try:
            yield
        finally:
            self.network.load_weights(own)


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Return the mean of a tensor in several checkpoints, in fp64 (Junczys-Dowmunt et al. 2016, section 3.1)."""
    return torch.stack(list(tensors)).double().mean(0).to(tensors[0].dtype)


@torch.no_grad()
def recompute_batch_norm(network: Network, sources: Iterable[Source]) -> None:
    """Replace the running statistics of BatchNorm by their mean over batches of sources; modes stay as they are.

    The moving average that training leaves follows its last few batches, and is far from their mean where features are
    rare (Wu and Johnson 2021, section 3).
    """
    norms = [
        (module, module.momentum, module.training) for module in network.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    if not norms:
        return
    for norm, _, _ in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    try:
        for source in sources:
            network.encode(source)
    finally:
        for norm, momentum, training in norms:
            norm.momentum = momentum
            norm.train(training)
