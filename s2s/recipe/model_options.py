"""Options of the network: which encoder, which decoder, how wide."""

from typing import Literal

from pydantic import Field

from s2s.recipe.options import Options


class EncoderOptions(Options):
    """The encoder: reads the source and leaves a memory."""

    family: Literal["rnn"] = Field("rnn", description="kind of encoder: rnn, a bidirectional recurrent network")
    cell: Literal["gru"] = Field("gru", description="recurrent cell")
    width: int = Field(256, ge=1, le=16384, description="units in each direction")


class DecoderOptions(Options):
    """The decoder: writes the target from the memory."""

    family: Literal["rnn"] = Field("rnn", description="kind of decoder: rnn, a recurrent network")
    cell: Literal["gru"] = Field("gru", description="recurrent cell")
    width: int = Field(512, ge=1, le=16384, description="units")
    context: Literal["summary", "attention"] = Field(
        "attention",
        description="what the decoder takes from the memory: summary, the same fixed vector at every step; "
        "attention, a weighted sum of the states, weighted anew at every step",
    )
    score: Literal["additive"] = Field(
        "additive", description="how attention rates a position: additive, v · tanh(W s + U h) (Bahdanau et al. 2015)"
    )
    query: Literal["previous"] = Field(
        "previous", description="the state that attention asks with: previous, s_(t-1) (Bahdanau et al. 2015)"
    )
    attention_width: int | None = Field(
        None, ge=1, le=16384, description="units inside the additive score; the decoder's width where not given"
    )


class ModelOptions(Options):
    """The network."""

    embedding: int = Field(256, ge=1, le=16384, description="width of token embeddings and of the read-out")
    tied_embeddings: Literal["none", "target", "all"] = Field(
        "all", description="which tables are one: target (target input and output), all (source too), none"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="probability of dropping a unit of embeddings, memory and read-out"
    )
    encoder: EncoderOptions = EncoderOptions()
    decoder: DecoderOptions = DecoderOptions()

    def in_words(self) -> str:
        """The network as a phrase: `bidirectional GRU encoder; GRU decoder with additive attention`."""
        decoder = self.decoder
        context = f"{decoder.score} attention" if decoder.context == "attention" else "a fixed context (no attention)"
        return f"bidirectional {self.encoder.cell.upper()} encoder; {decoder.cell.upper()} decoder with {context}"
