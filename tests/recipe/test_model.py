import pytest
from pydantic import ValidationError

from s2s.recipe.model import SIZES, ModelOptions, family_of
from s2s.recipe.sides import RnnDecoderOptions, RnnEncoderOptions, TransformerDecoderOptions, TransformerEncoderOptions

BLOCKS = {"family": "transformer"}
FORWARD = {"bidirectional": False}
FAMILIES = [("rnn", "rnn"), ("rnn", "transformer"), ("transformer", "rnn"), ("transformer", "transformer")]


def network(**values) -> ModelOptions:
    return ModelOptions.model_validate(values)


@pytest.mark.parametrize(("encoder", "decoder"), FAMILIES)
def test_encoders_and_decoders_of_either_family(encoder, decoder):
    found = network(encoder={"family": encoder}, decoder={"family": decoder})
    kinds = {"rnn": (RnnEncoderOptions, RnnDecoderOptions)}
    kinds["transformer"] = (TransformerEncoderOptions, TransformerDecoderOptions)
    assert isinstance(found.encoder, kinds[encoder][0])
    assert isinstance(found.decoder, kinds[decoder][1])


def test_the_default_family_is_rnn():
    assert network(encoder={"hidden_size": 7}).encoder == RnnEncoderOptions(hidden_size=7)
    assert network() == ModelOptions()


@pytest.mark.parametrize(
    ("table", "family"),
    [({}, "rnn"), (BLOCKS, "transformer"), ({"family": 3}, 3), (RnnDecoderOptions(), "rnn"), (3, None), ("rnn", None)],
)
def test_the_family_of_a_table(table, family):
    assert family_of(table) == family


@pytest.mark.parametrize(
    "table", [3, "rnn", ["rnn"], None, {"family": "mlp"}, {"family": ["rnn"]}, {"family": "rnn", "heads": 2}]
)
@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("size", [{}, {"size": "tiny"}])
def test_invalid_encoders_and_decoders_are_refused(table, side, size):
    with pytest.raises(ValidationError):
        network(**size, **{side: table})


def test_a_decoder_alone():
    found = network(architecture="decoder_only", size="small", decoder=BLOCKS)
    assert (found.encoder, found.source_attention) == (None, "full")
    assert (found.decoder.layers, found.decoder.heads, found.embedding_size) == (3, 4, 256)
    assert ModelOptions.model_validate(found.model_dump(mode="json", exclude_none=True)) == found
    assert (found.has_attention, found.recurrent, found.of_images) == (True, False, False)
    assert found.describe() == "3-layer decoder-only Transformer with full attention in the source"
    assert network().source_attention is None


@pytest.mark.parametrize(
    ("values", "key", "message"),
    [
        ({"encoder": BLOCKS, "decoder": BLOCKS}, ("encoder",), 'architecture = "decoder_only" has no encoder'),
        ({"decoder": {"hidden_size": 9}}, (), 'requires decoder.family = "transformer"'),
        ({"decoder": BLOCKS, "source_attention": "half"}, ("source_attention",), "'full' or 'causal'"),
        ({"decoder": BLOCKS | {"heads": 3}}, (), "decoder.heads"),
        (
            {"architecture": "encoder_decoder", "source_attention": "full"},
            ("source_attention",),
            'only for architecture = "decoder_only"',
        ),
    ],
)
def test_what_a_decoder_alone_cannot_have(values, key, message):
    with pytest.raises(ValidationError) as caught:
        network(**{"architecture": "decoder_only"} | values)
    error, *_ = caught.value.errors()
    assert error["loc"] == key
    assert message in error["msg"]


@pytest.mark.parametrize(
    ("size", "embedding", "layers", "heads", "recurrent_layers"),
    [("tiny", 128, 2, 4, 1), ("small", 256, 3, 4, 1), ("base", 512, 6, 8, 2), ("big", 1024, 6, 16, 4)],
)
def test_a_size_sets_unset_keys(size, embedding, layers, heads, recurrent_layers):
    recurrent = network(size=size)
    assert recurrent.embedding_size == embedding
    assert (recurrent.encoder.hidden_size, recurrent.encoder.layers) == (embedding, recurrent_layers)
    assert (recurrent.decoder.hidden_size, recurrent.decoder.layers) == (2 * embedding, recurrent_layers)
    blocks = network(size=size, encoder=BLOCKS, decoder=BLOCKS)
    assert blocks.embedding_size == embedding
    assert (blocks.encoder.layers, blocks.encoder.heads) == (layers, heads)
    assert (blocks.decoder.layers, blocks.decoder.heads) == (layers, heads)


def test_every_size_can_be_chosen():
    assert [network(size=size).size for size in SIZES] == ["tiny", "small", "base", "big"]


def test_set_keys_take_precedence_over_a_size():
    found = network(
        size="base", dropout=0.25, encoder=BLOCKS | {"layers": 4, "positions": "rotary"}, decoder={"hidden_size": 96}
    )
    assert (found.encoder.layers, found.encoder.heads, found.encoder.positions) == (4, 8, "rotary")
    assert (found.decoder.hidden_size, found.decoder.layers, found.dropout) == (96, 2, 0.25)


def test_hidden_sizes_follow_the_embedding_size():
    found = network(size="base", embedding_size=48)
    assert (found.embedding_size, found.encoder.hidden_size, found.decoder.hidden_size) == (48, 48, 96)


@pytest.mark.parametrize("size", [None, *SIZES])
@pytest.mark.parametrize(("encoder", "decoder"), FAMILIES)
def test_a_resolved_size_loads_unchanged(size, encoder, decoder):
    found = network(size=size, encoder={"family": encoder, "layers": 5}, decoder={"family": decoder})
    assert ModelOptions.model_validate(found.model_dump()) == found
    assert ModelOptions.model_validate(found.model_dump(mode="json", exclude_none=True)) == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"embedding_size": 20, "encoder": BLOCKS | {"heads": 3}},
            r"encoder\.heads \(3\) does not divide embedding_size \(20\)",
        ),
        (
            {"embedding_size": 20, "decoder": BLOCKS | {"heads": 3}},
            r"decoder\.heads \(3\) does not divide embedding_size \(20\)",
        ),
        (
            {"embedding_size": 20, "encoder": BLOCKS | {"heads": 4, "positions": "rotary"}},
            "encoder: rotary positions require an even head size, not 5",
        ),
        (
            {"embedding_size": 15, "decoder": BLOCKS | {"heads": 3}},
            "decoder: sinusoidal positions require an even embedding_size, not 15",
        ),
        (
            {"encoder": {"hidden_size": 6}, "decoder": {"hidden_size": 6, "score": "dot"}},
            r"decoder\.hidden_size \(6\) to equal the memory size \(12\)",
        ),
        (
            {"encoder": FORWARD | {"hidden_size": 6}, "decoder": {"hidden_size": 12, "score": "dot"}},
            r"decoder\.hidden_size \(12\) to equal the memory size \(6\)",
        ),
        (
            {"embedding_size": 16, "encoder": BLOCKS, "decoder": {"hidden_size": 12, "score": "dot"}},
            r"decoder\.hidden_size \(12\) to equal the memory size \(16\)",
        ),
        ({"encoder": {"reverse_source": True}}, "reverse_source requires bidirectional = false"),
        (
            {"decoder": BLOCKS | {"layers": 2, "attention_layer": 3}},
            r"layer \(3\) is not one of the 2 layers",
        ),
        (
            {"decoder": BLOCKS | {"layers": 2, "attention_layer": -3}},
            r"layer \(-3\) is not one of the 2 layers",
        ),
        ({"decoder": BLOCKS | {"attention_layer": 0}}, r"attention_layer \(0\) is not one of the 6 layers"),
        ({"size": "tiny", "embedding_size": "64"}, "embedding_size: expected an integer"),
        ({"size": "tiny", "embedding_size": {"a": 1}}, "embedding_size: expected an integer"),
    ],
)
def test_contradicting_options_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        network(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"embedding_size": 20, "encoder": BLOCKS | {"heads": 5, "positions": "rotary"}},
        {"embedding_size": 15, "decoder": BLOCKS | {"heads": 3, "positions": "learned"}},
        {"encoder": {"hidden_size": 6}, "decoder": {"hidden_size": 12, "score": "dot"}},
        {"encoder": {"hidden_size": 6}, "decoder": {"hidden_size": 7, "score": "dot", "context": "fixed"}},
        {"embedding_size": 16, "encoder": BLOCKS, "decoder": {"hidden_size": 16, "score": "dot"}},
        {"encoder": FORWARD | {"reverse_source": True}},
        {"decoder": BLOCKS | {"layers": 2, "attention_layer": 2}},
        {"decoder": BLOCKS | {"layers": 2, "attention_layer": -2}},
    ],
)
def test_consistent_options_are_accepted(values):
    assert network(**values)


@pytest.mark.parametrize(
    ("encoder", "hidden_size"),
    [
        (RnnEncoderOptions(hidden_size=6), 12),
        (RnnEncoderOptions(hidden_size=6, bidirectional=False), 6),
        (TransformerEncoderOptions(family="transformer"), 10),
    ],
)
def test_the_size_of_the_memory(encoder, hidden_size):
    assert encoder.memory_size(10) == hidden_size


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "bidirectional GRU encoder"),
        (FORWARD | {"cell": "rnn"}, "forward tanh RNN encoder"),
        (FORWARD | {"cell": "lstm", "layers": 4, "reverse_source": True}, "4-layer backward LSTM encoder"),
        (BLOCKS, "6-layer Transformer encoder"),
        (BLOCKS | {"layers": 1}, "Transformer encoder"),
    ],
)
def test_encoder_descriptions(values, words):
    assert network(encoder=values).describe() == f"{words}; GRU decoder with additive attention"


@pytest.mark.parametrize(
    ("values", "words", "attends"),
    [
        ({}, "GRU decoder with additive attention", True),
        ({"cell": "lstm", "layers": 2, "score": "scaled_dot"}, "2-layer LSTM decoder with scaled dot attention", True),
        ({"score": "general", "query": "current"}, "GRU decoder with general attention and input feeding", True),
        ({"cell": "rnn", "context": "fixed"}, "tanh RNN decoder with a fixed context (no attention)", False),
        (
            {"layers": 4, "context": "initial", "query": "current"},
            "4-layer GRU decoder with a fixed context as its initial state only (no attention)",
            False,
        ),
        (BLOCKS | {"layers": 3}, "3-layer Transformer decoder", True),
    ],
)
def test_decoder_descriptions_and_attention(values, words, attends):
    found = network(decoder=values)
    assert found.describe() == f"bidirectional GRU encoder; {words}"
    assert found.has_attention is attends
