"""Fully sharded training: each process keeps an equal part of the rows of weights, gradients and optimizer state.

PyTorch's `fully_shard` (FSDP2) gathers the weights of one Transformer block at a time, before its forward and its
backward pass, and sums the gradients into the parts. A sharded parameter is a DTensor: rows of the first dimension,
in the order of the processes; the last processes have fewer, or none.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint, noop_context_fn

from s2s.models.blocks import Block
from s2s.training.tensor_files import TensorFiles

if TYPE_CHECKING:  # importing this takes a second, which other trainings save
    from torch.distributed.tensor import DTensor

Contexts = Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]


def recompute_blocks(network: nn.Module, contexts: Contexts = noop_context_fn) -> None:
    """Have the backward pass compute each Transformer block again, from its input, instead of storing activations.

    Random masks are drawn again from the same state. `contexts` returns those of the first and the second pass.
    """
    for block in _blocks(network):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=contexts)


def shard(network: nn.Module, device: torch.device, group: distributed.ProcessGroup) -> None:
    """Shard a network over the processes of a group.

    Each block is sharded by itself, everything else as one unit, because tables may be shared. A block is moved to the
    device only to cut out the part of this process.
    """
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    # keys and values that a block returns may be views; nothing changes them in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module", UserWarning)
    mesh = DeviceMesh.from_group(group, device.type)
    for block in _blocks(network):
        fully_shard(block, mesh=mesh)
        for method in block.also_computes:
            register_fsdp_forward_method(block, method)
    fully_shard(network, mesh=mesh)


def _blocks(network: nn.Module) -> list[Block]:
    return [module for module in network.modules() if isinstance(module, Block)]


def is_sharded(network: nn.Module) -> bool:
    """Return whether a module is a unit of FSDP."""
    return hasattr(network, "reshard")


def is_dtensor(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Return whether a tensor is sharded."""
    return hasattr(tensor, "to_local")


@contextlib.contextmanager
def gathered(network: nn.Module) -> Iterator[None]:
    """Keep all weights of a sharded network on each device inside the block, which then needs no other process."""
    modules: list[Any] = [module for module in network.modules() if is_sharded(module)]
    for module in modules:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in modules:
            module.set_reshard_after_forward(module is not network, recurse=False)
            module.reshard()


def own_part(tensors: Mapping[str, Tensor], *, main: bool) -> dict[str, Tensor]:
    """Return what this process stores: its rows of sharded tensors; the main process stores all others, too."""
    return {
        name: value.to_local() if is_dtensor(value) else value
        for name, value in tensors.items()
        if main or is_dtensor(value)
    }


def read_like(stored: TensorFiles, name: str, like: Tensor) -> Tensor:
    """Read a tensor, sharded if `like` is: then only this process's rows are read.

    Raises: ValueError if the shape is another.
    """
    if stored.shape(name) != tuple(like.shape):
        raise ValueError(f"{name} has shape {stored.shape(name)}, expected {tuple(like.shape)}")
    if not is_dtensor(like):
        return stored[name]
    from torch.distributed.tensor import DTensor

    local, mesh = like.to_local(), like.device_mesh
    start = mesh.get_local_rank() * -(-len(like) // mesh.size())
    rows = stored.rows(name, start, start + len(local)).to(local)
    return DTensor.from_local(rows, mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride())


def load_stored(tensors: Mapping[str, Tensor], stored: TensorFiles) -> None:
    """Copy stored tensors to those of the same names. Raises ValueError if names or shapes differ."""
    if different := tensors.keys() ^ stored.keys():
        raise ValueError(f"missing or unknown weights: {', '.join(sorted(different))}")
    for name, value in tensors.items():
        value.copy_(read_like(stored, name, value))


def read_optimizer(stored: TensorFiles, network: nn.Module) -> dict[str, Tensor]:
    """Read the state of an optimizer: the moments sharded as the parameters are, step counts whole."""
    parameters = dict(network.named_parameters())
    return {
        name: read_like(stored, name, parameters[name.rpartition(".")[0]]) if stored.shape(name) else stored[name]
        for name in stored
    }
