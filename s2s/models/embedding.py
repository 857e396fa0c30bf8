"""Embedding tables."""

from torch import nn


class Embedding(nn.Embedding):
    """Embedding table [V, E] drawn from N(0, 1/E), which suits both inputs and a tied output projection."""

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)
