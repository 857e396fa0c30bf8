"""Options of the model: its encoder, its decoder and their sizes."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from s2s.recipe.options import Options
from s2s.recipe.sides import (
    BlockOptions,
    CnnEncoderOptions,
    Probability,
    RecurrentOptions,
    RnnDecoderOptions,
    RnnEncoderOptions,
    Size,
    TransformerDecoderOptions,
    TransformerEncoderOptions,
)

# presets: a Transformer's layers and heads; an RNN's layers, with hidden sizes that follow embedding_size
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embedding_size": 128, "transformer": {"layers": 2, "heads": 4}, "rnn": {"layers": 1}},
    "small": {"embedding_size": 256, "transformer": {"layers": 3, "heads": 4}, "rnn": {"layers": 1}},
    "base": {"embedding_size": 512, "transformer": {"layers": 6, "heads": 8}, "rnn": {"layers": 2}},
    "big": {"embedding_size": 1024, "transformer": {"layers": 6, "heads": 16}, "rnn": {"layers": 4}},
}

MISSING_SIDES = {"decoder_only": "encoder", "encoder_only": "decoder"}  # by architecture


def family_of(table: Any) -> Any:
    """Return the family of an encoder's or decoder's values, by default rnn; None if they are not a table."""
    return table.get("family", "rnn") if isinstance(table, dict) else getattr(table, "family", None)


def _expected(*families: str) -> dict[str, str]:
    return {
        "custom_error_type": "family",
        "custom_error_message": f"expected {', '.join(families[:-1])} or {families[-1]}",
    }


EncoderOptions = Annotated[
    Annotated[RnnEncoderOptions, Tag("rnn")]
    | Annotated[TransformerEncoderOptions, Tag("transformer")]
    | Annotated[CnnEncoderOptions, Tag("cnn")],
    Discriminator(family_of, **_expected("rnn", "transformer", "cnn")),
]
DecoderOptions = Annotated[
    Annotated[RnnDecoderOptions, Tag("rnn")] | Annotated[TransformerDecoderOptions, Tag("transformer")],
    Discriminator(family_of, **_expected("rnn", "transformer")),
]


def _default_decoder(given: dict[str, Any]) -> RnnDecoderOptions | None:
    return None if given.get("architecture") == "encoder_only" else RnnDecoderOptions()


def _default_encoder(given: dict[str, Any]) -> RnnEncoderOptions | None:
    return None if given.get("architecture") == "decoder_only" else RnnEncoderOptions()


def _default_source_attention(given: dict[str, Any]) -> Literal["full", "causal"] | None:
    return "full" if given.get("architecture") == "decoder_only" else None


class ModelOptions(Options):
    """The network: an encoder and a decoder, or one of them alone."""

    size: Literal["tiny", "small", "base", "big"] | None = Field(
        None,
        description="preset for sizes that are not set: embedding_size 128, 256, 512 or 1024, with layers, heads and "
        "hidden sizes to match",
    )
    architecture: Literal["encoder_decoder", "decoder_only", "encoder_only"] = Field(
        "encoder_decoder",
        description="encoder_decoder; decoder_only: one stack of Transformer layers, model.decoder, reads the "
        "source and continues it with the target (Radford et al. 2019); encoder_only: model.encoder alone, to be "
        "planned and not trained (Devlin et al. 2019)",
    )
    source_attention: Literal["full", "causal"] | None = Field(
        default_factory=_default_source_attention,
        description="what a source position of a decoder-only model sees: full, all of the source (a prefix language "
        "model, Raffel et al. 2020); causal, only positions before it; default: full",
    )
    embedding_size: Size = Field(
        256, description="size of token embeddings, of the RNN read-out, and of all layers of a Transformer"
    )
    tied_embeddings: Literal["none", "target", "all"] = Field(
        "all",
        description="share embeddings: target (decoder input and output projection), all (source text too) or none; "
        "a decoder-only model has one table for source and target in any case",
    )
    output_bias: bool = Field(True, description="use a bias in the output projection")
    dropout: Probability = Field(
        0.0,
        description="dropout probability; RNN: of embeddings, between layers, of memory and read-out; "
        "Transformer: of embeddings and of each residual branch",
    )
    encoder: EncoderOptions | None = Field(default_factory=_default_encoder, description="The encoder.")
    decoder: DecoderOptions | None = Field(default_factory=_default_decoder, description="The decoder.")

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, values: Any) -> Any:
        """Expand a size to values; values that are set take precedence."""
        size = SIZES.get(str(values.get("size"))) if isinstance(values, dict) else None
        if size is None:
            return values
        embedding = values.get("embedding_size", size["embedding_size"])
        if not isinstance(embedding, int):
            raise ValueError("embedding_size: expected an integer")
        filled = {"embedding_size": embedding, **values}
        widths = {"encoder": embedding, "decoder": 2 * embedding}
        if (missing := MISSING_SIDES.get(str(values.get("architecture")))) is not None:
            del widths[missing]
        for side, width in widths.items():
            given = values.get(side, {})
            family = family_of(given)
            if isinstance(given, dict) and family in ("rnn", "transformer"):
                filled[side] = size[family] | ({"hidden_size": width} if family == "rnn" else {}) | given
        return filled

    @field_validator("source_attention")
    @classmethod
    def _of_decoder_only(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("architecture") != "decoder_only":
            raise ValueError('only for architecture = "decoder_only"')
        return value

    @field_validator("encoder", "decoder", mode="before")
    @classmethod
    def _of_architecture(cls, value: Any, info: ValidationInfo) -> Any:
        architecture, side = info.data.get("architecture", ""), str(info.field_name)
        if (value is None) != (MISSING_SIDES.get(architecture) == side):
            raise ValueError("expected a table" if value is None else f'architecture = "{architecture}" has no {side}')
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for side, options in self.transformers.items():
            _check_heads(side, options, self.embedding_size)
            if self.architecture != "encoder_only":
                _check_trainable(side, options)
        if self.encoder is None and isinstance(self.decoder, RnnDecoderOptions):
            raise ValueError('architecture = "decoder_only" requires decoder.family = "transformer"')
        if self.decoder is None:
            _check_encoder_only(self.encoder)
        if self.encoder and isinstance(self.decoder, RnnDecoderOptions):
            _check_score(self.decoder, self.encoder.memory_size(self.embedding_size))
        return self

    @property
    def sides(self) -> dict[str, EncoderOptions | DecoderOptions]:
        """Encoder and decoder, or the one there is, by the names of their tables."""
        both = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: side for name, side in both.items() if side}

    @property
    def transformers(self) -> dict[str, BlockOptions]:
        """Those of encoder and decoder that are Transformers, by the names of their tables."""
        return {name: side for name, side in self.sides.items() if isinstance(side, BlockOptions)}

    @property
    def has_attention(self) -> bool:
        """Whether the decoder computes attention."""
        return self.decoder is not None and self.decoder.has_attention

    @property
    def of_images(self) -> bool:
        """Whether sources are images."""
        return isinstance(self.encoder, CnnEncoderOptions)

    @property
    def features(self) -> int:
        """Channels of the features that the encoder reads instead of pixels or tokens; 0 if it reads those."""
        encoder = self.encoder
        return encoder.input_channels if isinstance(encoder, CnnEncoderOptions) and not encoder.channels else 0

    @property
    def recurrent(self) -> bool:
        """Whether most of the computation is recurrent: encoder or decoder are, and the encoder is no CNN."""
        return any(isinstance(side, RecurrentOptions) for side in self.sides.values()) and not self.of_images

    def describe(self) -> str:
        """Describe the model: `bidirectional GRU encoder; GRU decoder with additive attention`."""
        described = "; ".join(side.describe() for side in self.sides.values())
        if self.architecture == "decoder_only":
            alone = described.replace("Transformer decoder", "decoder-only Transformer")
            return f"{alone} with {self.source_attention} attention in the source"
        return (
            described.replace("Transformer encoder", "encoder-only Transformer") if self.decoder is None else described
        )


def _check_heads(side: str, options: BlockOptions, embedding: int) -> None:
    if embedding % options.heads:
        raise ValueError(f"{side}.heads ({options.heads}) does not divide embedding_size ({embedding})")
    if options.positions == "rotary" and embedding // options.heads % 2:
        raise ValueError(f"{side}: rotary positions require an even head size, not {embedding // options.heads}")
    if options.positions == "sinusoidal" and embedding % 2:
        raise ValueError(f"{side}: sinusoidal positions require an even embedding_size, not {embedding}")


def _check_encoder_only(encoder: EncoderOptions | None) -> None:
    if not isinstance(encoder, TransformerEncoderOptions):
        raise ValueError('architecture = "encoder_only" requires encoder.family = "transformer"')
    if encoder.positions not in ("learned", "relative"):
        raise ValueError('architecture = "encoder_only" requires encoder.positions = "learned" or "relative"')


def _check_trainable(side: str, options: BlockOptions) -> None:
    if options.positions == "relative" or (isinstance(options, TransformerEncoderOptions) and options.token_types):
        key = 'positions = "relative"' if options.positions == "relative" else "token_types"
        raise ValueError(f'{side}.{key} requires architecture = "encoder_only"')


def _check_score(decoder: RnnDecoderOptions, memory: int) -> None:
    if decoder.has_attention and decoder.score == "dot" and decoder.hidden_size != memory:
        raise ValueError(
            f"score dot requires decoder.hidden_size ({decoder.hidden_size}) to equal the memory size ({memory})"
        )
