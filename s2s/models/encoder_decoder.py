"""Combine an encoder, a decoder and an output projection into one network."""

from torch import Tensor

from s2s.models.interface import Decoder, Encoder, Memory, Source
from s2s.models.network import Network


class EncoderDecoder(Network):
    """Encoder, decoder and projection to the vocabulary."""

    def __init__(self, encoder: Encoder, decoder: Decoder, weight: Tensor, *, bias: bool = True) -> None:
        """Build the network; `weight` [V, H] as in `Network`."""
        super().__init__(weight, bias=bias)
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source: Source) -> Memory:
        """Return the encoder's memory of B sources."""
        return self.encoder(source)
