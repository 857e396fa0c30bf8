"""Options of encoders and decoders: recurrent networks, Transformers and, for images, convolutional networks."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.options import Options

CELLS = {"rnn": "tanh RNN", "gru": "GRU", "lstm": "LSTM"}  # names in descriptions

Probability = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[int, Field(ge=1, le=16384)]
Layers = Annotated[int, Field(ge=1, le=128)]
GridSide = Annotated[int, Field(ge=1, le=64)]


class RecurrentOptions(Options):
    """What recurrent encoders and decoders share."""

    family: Literal["rnn"] = Field("rnn", description="rnn: a recurrent network")
    cell: Literal["rnn", "gru", "lstm"] = Field("gru", description="recurrent cell; rnn is the plain tanh RNN")
    layers: Layers = Field(1, description="number of layers")
    variational: bool = Field(
        False, description="variational dropout: drop the same units at every position (Gal and Ghahramani 2016)"
    )


class RnnEncoderOptions(RecurrentOptions):
    """A recurrent encoder."""

    hidden_size: Size = Field(256, description="hidden size of each direction")
    bidirectional: bool = Field(True, description="encode the source in both directions")
    reverse_source: bool = Field(
        False,
        description="encode the source in reverse (Sutskever et al. 2014); requires bidirectional = false",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.bidirectional and self.reverse_source:
            raise ValueError("reverse_source requires bidirectional = false")
        return self

    def memory_size(self, embedding_size: int) -> int:
        """Return the size D of the memory's states."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    grid: ClassVar[None] = None  # of an image

    def describe(self) -> str:
        """Describe the encoder: `bidirectional GRU encoder`."""
        way = "bidirectional" if self.bidirectional else "backward" if self.reverse_source else "forward"
        return f"{counted_layers(self.layers)}{way} {CELLS[self.cell]} encoder"


class RnnDecoderOptions(RecurrentOptions):
    """A recurrent decoder."""

    hidden_size: Size = Field(512, description="hidden size")
    context: Literal["fixed", "initial", "attention"] = Field(
        "attention",
        description="what the decoder takes from the memory: fixed, the same vector at every step (a bottleneck); "
        "initial, that vector only as the first state (Sutskever et al. 2014); "
        "attention, an attention-weighted sum of the states",
    )
    score: Literal["additive", "dot", "general", "scaled_dot"] = Field(
        "additive",
        description="attention score: additive, v · tanh(W s + U h) (Bahdanau et al. 2015); dot, s · h; "
        "general, s · W h (Luong et al. 2015); scaled_dot, W s · U h / √A (Vaswani et al. 2017)",
    )
    query: Literal["previous", "current"] = Field(
        "previous",
        description="decoder state used as attention query: previous, s_(t-1) (Bahdanau et al. 2015); "
        "current, s_t, with input feeding (Luong et al. 2015)",
    )
    attention_size: Size | None = Field(
        None, description="attention size A of the additive and scaled_dot scores; default: the decoder's hidden_size"
    )

    @property
    def has_attention(self) -> bool:
        """Whether the decoder computes attention."""
        return self.context == "attention"

    def describe(self) -> str:
        """Describe the decoder: `GRU decoder with additive attention`."""
        decoder = f"{counted_layers(self.layers)}{CELLS[self.cell]} decoder"
        if self.context == "fixed":
            return f"{decoder} with a fixed context (no attention)"
        if self.context == "initial":
            return f"{decoder} with a fixed context as its initial state only (no attention)"
        fed = " and input feeding" if self.query == "current" else ""
        return f"{decoder} with {self.score.replace('_', ' ')} attention{fed}"


class BlockOptions(Options):
    """What Transformer encoders and decoders share; their hidden size is embedding_size (Vaswani et al. 2017)."""

    family: Literal["transformer"] = Field(description="transformer: layers of attention and feed-forward networks")
    layers: Layers = Field(6, description="number of layers")
    heads: int = Field(8, ge=1, le=1024, description="number of attention heads; must divide embedding_size")
    ffn_size: int | None = Field(
        None, ge=1, le=262144, description="inner size of feed-forward layers; default: 4 × embedding_size"
    )
    positions: Literal["sinusoidal", "learned", "rotary", "relative"] = Field(
        "sinusoidal",
        description="positional encoding: sinusoidal (Vaswani et al. 2017), learned embeddings, "
        "rotary (Su et al. 2021), or, only to plan encoder_only, relative (Dai et al. 2019)",
    )
    max_positions: int = Field(
        1024, ge=1, le=1_000_000, description="number of learned positions; later positions share the last one"
    )
    norm: Literal["pre", "post"] = Field(
        "pre",
        description="normalize before each layer and at the end (pre), or after each residual sum (post)",
    )
    norm_kind: Literal["layer", "rms"] = Field(
        "layer", description="layer: LayerNorm (Ba et al. 2016); rms: RMSNorm (Zhang and Sennrich 2019)"
    )
    activation: Literal["relu", "gelu", "swiglu"] = Field(
        "relu", description="feed-forward activation; swiglu is gated, with a third matrix (Shazeer 2020)"
    )
    attention_bias: bool = Field(True, description="use biases in attention projections")
    attention_dropout: Probability = Field(0.0, description="dropout of attention weights")
    activation_dropout: Probability = Field(0.0, description="dropout inside feed-forward layers")


class TransformerEncoderOptions(BlockOptions):
    """A Transformer encoder."""

    token_types: int = Field(
        0, ge=0, le=64, description="encoder_only: number of token types, such as first and second text of a pair"
    )
    convolution: int = Field(
        0,
        ge=0,
        le=63,
        description="width, an odd number, of a depthwise convolution that is added to the source embeddings, so that "
        "each sees its neighbours from the start; 0: none",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.convolution and self.convolution % 2 == 0:
            raise ValueError(f"convolution ({self.convolution}) is not odd")
        return self

    def memory_size(self, embedding_size: int) -> int:
        """Return the size D of the memory's states."""
        return embedding_size

    grid: ClassVar[None] = None  # of an image

    def describe(self) -> str:
        """Describe the encoder: `6-layer Transformer encoder`."""
        convolution = f" with a convolution of width {self.convolution}" if self.convolution else ""
        return f"{counted_layers(self.layers)}Transformer encoder{convolution}"


class CnnEncoderOptions(Options):
    """A convolutional encoder of images."""

    family: Literal["cnn"] = Field(description="cnn: a residual convolutional network, for images")
    channels: list[Size] = Field(
        [32, 64, 64],
        max_length=16,
        description="channels of each stage, which halves height and width by a strided convolution; [] for features",
    )
    blocks: list[Annotated[int, Field(ge=0, le=64)]] = Field(
        [0, 0, 1],
        description="residual blocks of each stage, of two convolutions each, after the strided one",
    )
    input_channels: Size = Field(3, description="channels of the input: 3 for pixels, data.channels for features")
    norm: Literal["batch", "group"] = Field(
        "batch",
        description="normalization after each convolution: batch (Ioffe and Szegedy 2015; each process and "
        "micro-batch by its own images) or group (Wu and He 2018)",
    )
    hidden_size: Size = Field(64, description="size of the states of the grid and of the pooled vector")
    grid: tuple[GridSide, GridSide] = Field(
        (8, 8), description="height and width of the grid of states, to which the last stage is pooled if it is larger"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.blocks) != len(self.channels):
            raise ValueError(f"{len(self.channels)} stages have channels, but {len(self.blocks)} have blocks")
        if self.channels and self.input_channels != 3:
            raise ValueError(f"stages read 3 colours; to read {self.input_channels} channels, set channels = []")
        return self

    def memory_size(self, embedding_size: int) -> int:
        """Return the size D of the memory's states."""
        return self.hidden_size

    def describe(self) -> str:
        """Describe the encoder: `3-stage CNN encoder with a grid of 8 × 8`."""
        if not self.channels:
            return f"projected features on a grid of {self.grid[0]} × {self.grid[1]}"
        return f"{len(self.channels)}-stage CNN encoder with a grid of {self.grid[0]} × {self.grid[1]}"


class TransformerDecoderOptions(BlockOptions):
    """A Transformer decoder."""

    attention_layer: int = Field(
        -1, description="layer whose attention to the source is shown: 1 is the first, -1 the last"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not 1 <= abs(self.attention_layer) <= self.layers:
            raise ValueError(f"attention_layer ({self.attention_layer}) is not one of the {self.layers} layers")
        return self

    @property
    def has_attention(self) -> bool:
        """Whether the decoder computes attention."""
        return True

    def describe(self) -> str:
        """Describe the decoder: `6-layer Transformer decoder`."""
        return f"{counted_layers(self.layers)}Transformer decoder"


def counted_layers(count: int) -> str:
    """Return `6-layer `, what a description begins with; nothing for a single layer."""
    return f"{count}-layer " if count > 1 else ""
