"""Sizes of a network that decide its memory on many devices and its computation."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from torch import nn

from s2s.models.blocks import Block
from s2s.models.positions import LearnedPositions

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shapes of all parameters; shared ones occur once."""

    tables: list[Shape]  # embeddings of tokens, positions and token types; output projection
    blocks: list[list[Shape]]  # of each Transformer block
    rest: list[Shape]

    @classmethod
    def of(cls, network: nn.Module) -> "Sizes":
        """Return the sizes of a network."""
        known: set[nn.Parameter] = set()

        def shapes(parameters: Iterable[nn.Parameter]) -> list[Shape]:
            new = [one for one in dict.fromkeys(parameters) if one not in known]
            known.update(new)
            return [tuple(one.shape) for one in new]

        embeddings = [module for module in network.modules() if isinstance(module, nn.Embedding)]
        tables = [parameter for module in embeddings for parameter in module.parameters()]
        tables += [module.table for module in network.modules() if isinstance(module, LearnedPositions)]
        tables += [value for name, value in network.named_parameters() if name == "weight"]
        return cls(
            tables=shapes(tables),
            blocks=[shapes(block.parameters()) for block in network.modules() if isinstance(block, Block)],
            rest=shapes(network.parameters()),
        )

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of all parameters."""
        return [*self.tables, *self.rest, *(shape for block in self.blocks for shape in block)]

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return count(self.shapes)

    @property
    def without_embeddings(self) -> int:
        """Number of parameters outside of embeddings and output projection."""
        return self.parameters - count(self.tables)

    def shard(self, devices: int) -> int:
        """Return the largest number of parameters that one of several devices holds.

        FSDP2 splits the first dimension of each into parts of equal size, but for the last ones.
        """
        return sum(-(-shape[0] // devices) * prod(shape[1:]) for shape in self.shapes)

    @property
    def gathered(self) -> int:
        """Number of parameters that FSDP2 gathers at the same time: all outside of blocks, a block and the next."""
        blocks = sorted(map(count, self.blocks))
        return count(self.tables) + count(self.rest) + sum(blocks[-2:])

    @property
    def matrices(self) -> int:
        """Number of parameters of blocks that each position is multiplied with."""
        return count(shape for block in self.blocks for shape in block if len(shape) > 1)


def count(shapes: Iterable[Shape]) -> int:
    """Return the number of parameters of these shapes."""
    return sum(map(prod, shapes))
