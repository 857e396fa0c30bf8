"""Build networks from a recipe's options.

Register a new architecture here.
"""

from collections.abc import Callable

from torch import nn

from s2s.models.cnn import CnnEncoder
from s2s.models.decoder_only import DecoderOnly, PrefixDecoder
from s2s.models.embedding import Embedding
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import Decoder, Encoder, MemorySpec
from s2s.models.network import Network
from s2s.models.rnn_attention import CurrentQueryDecoder, PreviousQueryDecoder
from s2s.models.rnn_decoder import FixedContextDecoder, RnnDecoder
from s2s.models.rnn_encoder import RnnEncoder
from s2s.models.transformer import TransformerDecoder, TransformerEncoder
from s2s.recipe.model import ModelOptions
from s2s.recipe.sides import CnnEncoderOptions, RnnDecoderOptions, TransformerDecoderOptions


def _rnn_decoder(options: RnnDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float) -> RnnDecoder:
    if not options.has_attention:
        return FixedContextDecoder(options, embedding, memory, dropout)
    kind = PreviousQueryDecoder if options.query == "previous" else CurrentQueryDecoder
    return kind(options, embedding, memory, dropout)


def _cnn_encoder(options: CnnEncoderOptions, _: nn.Embedding, dropout: float) -> CnnEncoder:
    return CnnEncoder(options, dropout)


ENCODERS: dict[str, Callable[..., Encoder]] = {
    "rnn": RnnEncoder,
    "transformer": TransformerEncoder,
    "cnn": _cnn_encoder,
}
DECODERS: dict[str, Callable[..., Decoder]] = {"rnn": _rnn_decoder, "transformer": TransformerDecoder}


def build_model(options: ModelOptions, vocab_size: int) -> Network:
    """Return a network with fresh weights for a joint vocabulary of the given size."""
    target = Embedding(vocab_size, options.embedding_size)
    if options.encoder is None:
        assert isinstance(options.decoder, TransformerDecoderOptions)
        causal = options.source_attention == "causal"
        alone = PrefixDecoder(options.decoder, target, options.dropout, causal=causal)
        output = target if options.tied_embeddings != "none" else Embedding(vocab_size, options.embedding_size)
        return DecoderOnly(alone, output.weight, bias=options.output_bias)
    assert options.decoder is not None, "encoder-only networks are not trained"
    source = (
        target
        if options.tied_embeddings == "all" or options.of_images
        else Embedding(vocab_size, options.embedding_size)
    )
    encoder = ENCODERS[options.encoder.family](options.encoder, source, options.dropout)
    decoder = DECODERS[options.decoder.family](options.decoder, target, encoder.spec, options.dropout)
    output = target if options.tied_embeddings != "none" else Embedding(vocab_size, decoder.hidden_size)
    return EncoderDecoder(encoder, decoder, output.weight, bias=options.output_bias)
