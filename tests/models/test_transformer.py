"""The Transformer: torch's layers with copied weights, counts of parameters, the cache, and its mixes with RNNs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from networks import constraints, pairs, source
from torch import Tensor, nn

from s2s.decoding.beam import BeamSearch
from s2s.devices.runtime import tuning
from s2s.models import transformer as module
from s2s.models.blocks import CrossAttention, FeedForward, SelfAttention
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import BOS, EOS, PAD, UNK, Memory, TokenInput
from s2s.models.transformer import TransformerDecoder, TransformerEncoder
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.model import ModelOptions

B, S, T, V, D, F = 3, 5, 7, 17, 12, 10
LENGTHS = torch.tensor([5, 2, 4])
RNN = {"encoder": {"family": "rnn", "hidden_size": 4}, "decoder": {"family": "rnn", "hidden_size": 9}}


def blocks(**given: Any) -> dict[str, Any]:
    return {"family": "transformer", "layers": 2, "heads": 3, "ffn_size": F, **given}


def network(encoder: dict[str, Any], decoder: dict[str, Any], **given: Any) -> EncoderDecoder:
    torch.manual_seed(1)
    model = build_model(ModelOptions(embedding_size=D, encoder=encoder, decoder=decoder, **given), V).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def transformer(model: EncoderDecoder) -> tuple[TransformerEncoder, TransformerDecoder]:
    assert isinstance(model.encoder, TransformerEncoder)
    assert isinstance(model.decoder, TransformerDecoder)
    return model.encoder, model.decoder


def targets() -> Tensor:
    return torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(3))


def check_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


# torch's own layers with copied weights


def copy_self_attention(ours: SelfAttention, theirs: nn.MultiheadAttention, norm: nn.LayerNorm) -> None:
    theirs.in_proj_weight.data = ours.qkv_proj.weight.data
    theirs.in_proj_bias.data = ours.qkv_proj.bias.data
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    norm.load_state_dict(ours.norm.state_dict())


def copy_cross_attention(ours: CrossAttention, theirs: nn.MultiheadAttention, norm: nn.LayerNorm) -> None:
    theirs.in_proj_weight.data = torch.cat((ours.q_proj.weight.data, ours.kv_proj.weight.data))
    theirs.in_proj_bias.data = torch.cat((ours.q_proj.bias.data, ours.kv_proj.bias.data))
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    norm.load_state_dict(ours.norm.state_dict())


def copy_feed_forward(ours: FeedForward, theirs: Any, norm: nn.LayerNorm) -> None:
    theirs.linear1.load_state_dict(ours.fc1.state_dict())
    theirs.linear2.load_state_dict(ours.fc2.state_dict())
    norm.load_state_dict(ours.norm.state_dict())


def embedded(table: nn.Embedding, ids: Tensor) -> Tensor:
    """√D times the embedding, plus sines and cosines."""
    rows = torch.zeros(ids.shape[1], D)
    for position in range(ids.shape[1]):
        for i in range(0, D, 2):
            angle = torch.tensor(position / 10000 ** (i / D))
            rows[position, i], rows[position, i + 1] = angle.sin(), angle.cos()
    return D**0.5 * table(ids) + rows


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_encoder_and_decoder_are_torchs_layers_with_copied_weights(norm: str, activation: str) -> None:
    said = blocks(norm=norm, activation=activation)
    encoder, decoder = transformer(network(said, {**said, "layers": 1}))
    kind = {
        "d_model": D, "nhead": 3, "dim_feedforward": F, "dropout": 0.0, "activation": activation, "batch_first": True,
        "norm_first": norm == "pre",
    }  # fmt: skip
    given, padding = source(V), torch.arange(S) >= LENGTHS.unsqueeze(1)
    expected = embedded(encoder.embedding, given.ids)
    for block in encoder.blocks:
        layer = nn.TransformerEncoderLayer(**kind).eval()
        copy_self_attention(block.attention, layer.self_attn, layer.norm1)
        copy_feed_forward(block.feed_forward, layer, layer.norm2)
        expected = layer(expected, src_key_padding_mask=padding)
    expected = encoder.norm(expected)
    memory = encoder(given)
    for row, length in enumerate(LENGTHS):
        check_close(memory.states[row, :length], expected[row, :length])
        check_close(memory.summary[row], expected[row, :length].mean(0))
    assert isinstance(encoder.norm, nn.LayerNorm if norm == "pre" else nn.Identity)

    layer = nn.TransformerDecoderLayer(**kind).eval()
    block = decoder.blocks[0]
    copy_self_attention(block.self_attention, layer.self_attn, layer.norm1)
    copy_cross_attention(block.cross_attention, layer.multihead_attn, layer.norm2)
    copy_feed_forward(block.feed_forward, layer, layer.norm3)
    later = torch.ones(T, T, dtype=torch.bool).triu(1)
    written = layer(
        embedded(decoder.embedding, targets()), memory.states, tgt_mask=later, memory_key_padding_mask=padding
    )
    check_close(decoder(memory, targets()).hidden, decoder.norm(written))


# how many parameters


def count(embedding: int, vocabulary: int, **given: Any) -> int:
    said = {"family": "transformer", "norm": "post", **given}
    with torch.device("meta"):
        model = build_model(
            ModelOptions(embedding_size=embedding, output_bias=False, encoder=said, decoder=said), vocabulary
        )
    assert all(parameter.is_meta for parameter in model.parameters())
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("embedding", "vocabulary", "given", "expected"),
    [
        # One attention layer: four matrices D × D and four biases D. Feed-forward: 2 · D · F weights, F + D biases. One
        # norm: 2 · D. An encoder's block has one attention, a decoder's two; one norm for each of 2 and of 3 layers.
        # D = 512, F = 2048:
        #   table          37000 · 512                                                      = 18,944,000
        #   attention      4 · 512² + 4 · 512 = 1,048,576 + 2,048                           =  1,050,624
        #   feed-forward   2 · 512 · 2048 + 2048 + 512 = 2,097,152 + 2,560                  =  2,099,712
        #   encoder block  1,050,624 + 2,099,712 + 2 · 1,024 = 3,152,384; six of them       = 18,914,304
        #   decoder block  2 · 1,050,624 + 2,099,712 + 3 · 1,024 = 4,204,032; six           = 25,224,192
        #   sum            18,944,000 + 18,914,304 + 25,224,192                             = 63,082,496
        (512, 37_000, {"layers": 6, "heads": 8, "ffn_size": 2048}, 63_082_496),
        # Without biases in its 6 + 2 · 6 = 18 attention layers, 18 · 2,048 = 36,864 fewer.
        (512, 37_000, {"layers": 6, "heads": 8, "ffn_size": 2048, "attention_bias": False}, 63_045_632),
        # D = 1024, F = 4096:
        #   table          37000 · 1024                                                     =  37,888,000
        #   attention      4 · 1024² + 4 · 1024 = 4,194,304 + 4,096                         =   4,198,400
        #   feed-forward   2 · 1024 · 4096 + 4096 + 1024 = 8,388,608 + 5,120                =   8,393,728
        #   encoder block  4,198,400 + 8,393,728 + 2 · 2,048 = 12,596,224; six              =  75,577,344
        #   decoder block  2 · 4,198,400 + 8,393,728 + 3 · 2,048 = 16,796,672; six          = 100,780,032
        #   sum            37,888,000 + 75,577,344 + 100,780,032                            = 214,245,376
        (1024, 37_000, {"layers": 6, "heads": 16, "ffn_size": 4096}, 214_245_376),
        # 18 · 4,096 = 73,728 fewer.
        (1024, 37_000, {"layers": 6, "heads": 16, "ffn_size": 4096, "attention_bias": False}, 214_171_648),
        # D = 512, F = 1024: table 10000 · 512 = 5,120,000; feed-forward 2 · 512 · 1024 + 1,536 = 1,050,112;
        # encoder 6 · (1,050,624 + 1,050,112 + 2,048) = 12,616,704; decoder 6 · (2,101,248 + 1,050,112 + 3,072) =
        # 18,926,592; sum 36,663,296.
        (512, 10_000, {"layers": 6, "heads": 8, "ffn_size": 1024}, 36_663_296),
        # D = 128, F = 256: table 10000 · 128 = 1,280,000; attention 4 · 128² + 512 = 66,048; feed-forward
        # 2 · 128 · 256 + 384 = 65,920; encoder 4 · (66,048 + 65,920 + 512) = 529,920; decoder
        # 4 · (132,096 + 65,920 + 768) = 795,136; sum 2,605,056.
        (128, 10_000, {"layers": 4, "heads": 4, "ffn_size": 256}, 2_605_056),
    ],
)
def test_parameter_counts(embedding: int, vocabulary: int, given: dict[str, Any], expected: int) -> None:
    assert count(embedding, vocabulary, **given) == expected


def test_names_of_weights_read_well_and_a_shared_table_is_there_once() -> None:
    names = set(network(blocks(), blocks()).weights())
    assert {
        "weight",
        "encoder.blocks.1.attention.qkv_proj.weight",
        "encoder.blocks.1.feed_forward.norm.bias",
        "encoder.norm.weight",
        "decoder.blocks.0.self_attention.out_proj.bias",
        "decoder.blocks.0.cross_attention.kv_proj.weight",
        "decoder.blocks.0.cross_attention.q_proj.bias",
        "decoder.blocks.0.feed_forward.fc1.weight",
    } <= names
    assert [name for name in names if "embedding" in name] == []
    own = set(network(blocks(), blocks(), tied_embeddings="none").weights())
    assert own - names == {"encoder.embedding.weight", "decoder.embedding.weight"}


# masks to add, as on a GPU


@pytest.mark.parametrize("attention_dropout", [0.0, 1e-4])  # fused or explicit in training
def test_masks_to_add_change_nothing(attention_dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    given = blocks(attention_dropout=attention_dropout)
    found = []
    for additive in (False, True):
        chosen = replace(tuning("cpu"), additive_masks=additive)
        monkeypatch.setattr(module, "tuning", lambda kind, chosen=chosen: chosen)
        model = network(given, given).train()
        torch.manual_seed(5)
        model(pairs(source(V), targets(), targets())).loss.backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        model.eval()
        hypotheses = []
        with torch.no_grad():
            for beam_size, asked in ((3, False), (1, True)):
                search = BeamSearch(DecodingOptions(beam_size=beam_size), constraints([2, 7, 4]))
                hypotheses += [best for (best, *_) in search.run(model, source(V), need_attention=asked)]
        mask = model.decoder.start(model.encoder(source(V)), max_steps=2).mask
        assert mask is not None
        assert mask.is_floating_point() == additive
        assert not additive or all(stride % 16 == 0 for stride in mask.stride()[:-1])
        found.append((hypotheses, gradients))
    (expected, gradients), (hypotheses, others) = found
    assert [one.tokens for one in hypotheses] == [one.tokens for one in expected]
    check_close([one.log_probability for one in hypotheses], [one.log_probability for one in expected])
    check_close(others, gradients)


# attention weights


@pytest.mark.parametrize(("shown", "index"), [(1, 0), (2, 1), (3, 2), (-1, 2), (-3, 0)])
def test_weights_are_the_mean_over_the_heads_of_the_layer_named(shown: int, index: int) -> None:
    encoder, decoder = transformer(network(blocks(), blocks(layers=3, attention_layer=shown)))
    memory = encoder(source(V))
    everything = decoder.all_attention(memory, targets())
    assert everything.shape == (B, 3, 3, T, S)
    check_close(everything.sum(-1), torch.ones(B, 3, 3, T))
    weights = decoder(memory, targets(), need_attention=True).attention
    assert weights is not None
    check_close(weights, everything[:, index].mean(1))
    assert all((weights - everything[:, other].mean(1)).abs().max() > 1e-3 for other in {0, 1, 2} - {index})
    for row, length in enumerate(LENGTHS):
        assert everything[row, ..., length:].eq(0).all()


# the interface alone: mixes with RNNs


MIXES = {
    "transformer": (blocks(), blocks(attention_layer=1)),
    "rotary transformer": (
        blocks(positions="rotary", norm_kind="rms"),
        blocks(positions="rotary", activation="swiglu"),
    ),
    "RNN decoder": (blocks(), RNN["decoder"]),
    "RNN encoder": (RNN["encoder"], blocks(norm="post")),
}
mixes = pytest.mark.parametrize("mix", MIXES)


@mixes
def test_forward_is_repeated_step(mix: str) -> None:
    model = network(*MIXES[mix])
    with torch.inference_mode():
        memory = model.encoder(source(V))
        whole = model.decoder(memory, targets(), need_attention=True)
        state = model.decoder.start(memory, max_steps=T)
        for t in range(T):
            decoded, state = model.decoder.step(targets()[:, t : t + 1], state, need_attention=True)
            check_close(decoded.hidden[:, 0], whole.hidden[:, t])
            assert decoded.attention is not None
            assert whole.attention is not None
            check_close(decoded.attention[:, 0], whole.attention[:, t])


@mixes
def test_a_search_scores_as_forced_decoding_does(mix: str) -> None:
    model, given = network(*MIXES[mix]), source(V)
    with torch.inference_mode():
        assert model.bias is not None
        model.bias[[PAD, UNK, BOS]] = -100.0  # which the search never writes
        found = BeamSearch(DecodingOptions(beam_size=3), constraints([9, 8, 9]), nbest=3).run(
            model, given, need_attention=True
        )
        for row, hypotheses in enumerate(found):
            assert len(hypotheses) == 3
            for hypothesis in hypotheses:
                tokens = hypothesis.tokens + [EOS] * (not hypothesis.truncated)
                inputs = torch.tensor([[BOS, *tokens[:-1]]])
                alone = TokenInput(given.ids[row : row + 1, : LENGTHS[row]], LENGTHS[row : row + 1])
                nll = model(pairs(alone, inputs, torch.tensor([tokens]))).nll
                assert -float(nll) == pytest.approx(hypothesis.log_probability, abs=1e-3)
                assert hypothesis.attention is not None
                assert hypothesis.attention.shape == (len(tokens), S)


# the state of a search


def started(**given: Any) -> tuple[TransformerDecoder, Any]:
    encoder, decoder = transformer(network(blocks(), blocks(**given)))
    with torch.inference_mode():
        return decoder, decoder.start(encoder(source(V)), max_steps=T)


def test_what_belongs_to_a_sentence_is_not_copied_per_hypothesis() -> None:
    _, state = started()
    wide = state.select(None, torch.zeros(B, 6, dtype=torch.long))
    assert wide.memory is state.memory
    assert wide.mask is state.mask
    assert [part.shape for part in wide.cache] == [(B, 6, T, 2, 3, 4)] * 2
    fewer = wide.select(torch.tensor([2, 0]), torch.tensor([[5, 1], [0, 3]]))
    torch.testing.assert_close(fewer.memory[1][0], state.memory[1][0][[2, 0]])
    torch.testing.assert_close(fewer.mask, state.mask[[2, 0]])


def test_single_hypotheses_are_not_copied() -> None:
    _, state = started()
    assert state.select(None, torch.zeros(B, 1, dtype=torch.long)) is state
    wide = state.select(None, torch.zeros(B, 2, dtype=torch.long))
    swapped = wide.select(None, torch.tensor([[0, 1], [1, 0], [0, 1]]))
    assert swapped.memory is wide.memory
    assert swapped.cache[0] is not wide.cache[0]


def test_what_is_not_yet_written_is_not_copied() -> None:
    decoder, state = started()
    with torch.inference_mode():
        for _ in range(2):
            _, state = decoder.step(targets()[:, :1], state)
        for part in state.cache:
            part[:, :, 2:] = torch.nan
        moved = state.select(torch.tensor([1, 2]), torch.zeros(2, 3, dtype=torch.long))
        for part, old in zip(moved.cache, state.cache, strict=True):
            torch.testing.assert_close(part[:, :, :2], old[[1, 2], :, :2].expand(-1, 3, -1, -1, -1, -1))
        decoded, _ = decoder.step(torch.tensor([[4, 5, 6], [7, 8, 9]]), moved)
        assert decoded.hidden.isfinite().all()


def test_a_step_beyond_the_room_is_an_error() -> None:
    decoder, state = started()
    with torch.inference_mode():
        for _ in range(T):
            _, state = decoder.step(targets()[:, :1], state)
        with pytest.raises(IndexError):
            decoder.step(targets()[:, :1], state)


# precision, devices, dropout


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_autocast_gives_hidden_vectors_for_a_product_in_half_precision(norm: str) -> None:
    encoder, decoder = transformer(network(blocks(norm=norm), blocks(norm=norm)))
    plain = decoder(encoder(source(V)), targets()).hidden
    with torch.autocast("cpu", torch.bfloat16):
        memory = encoder(source(V))
        half = decoder(memory, targets()).hidden
        state = decoder.start(memory, max_steps=T)
        stepped, _ = decoder.step(targets()[:, :1], state)
    assert plain.dtype == torch.float32
    assert half.dtype == stepped.hidden.dtype == state.cache[0].dtype == torch.bfloat16
    assert (half.float() - plain).abs().mean() < 0.1 * plain.abs().mean()
    torch.testing.assert_close(stepped.hidden[:, 0], half[:, 0], atol=0.1, rtol=0.1)


def test_a_whole_network_in_half_precision_runs() -> None:
    for said in MIXES["transformer"], MIXES["rotary transformer"]:
        encoder, decoder = transformer(network(*said).bfloat16())
        memory = encoder(source(V))
        assert decoder(memory, targets()).hidden.dtype == torch.bfloat16


def test_no_padding_and_padding_take_the_same_way() -> None:
    encoder, decoder = transformer(network(blocks(), blocks()))
    ids = torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(4))
    whole = encoder(TokenInput(ids, torch.full((B,), S)))
    longer = encoder(TokenInput(torch.cat((ids, torch.zeros(B, 1, dtype=torch.long)), dim=1), torch.full((B,), S)))
    check_close(longer.states[:, :S], whole.states)
    check_close(longer.summary, whole.summary)
    check_close(decoder(longer, targets()).hidden, decoder(whole, targets()).hidden)


def test_nothing_passes_through_padding() -> None:
    encoder, decoder = transformer(network(blocks(), blocks()))
    memory = encoder(source(V))
    states = memory.states.detach().requires_grad_()
    decoder(Memory(states, memory.mask, memory.summary), targets()).hidden.square().sum().backward()
    assert states.grad is not None
    assert states.grad[~memory.mask].eq(0).all()
    assert states.grad[memory.mask].ne(0).all()


def test_dropout_falls_on_embeddings_and_on_what_layers_add() -> None:
    torch.manual_seed(5)
    encoder, _ = transformer(network(blocks(), blocks(), dropout=0.5))
    encoder.train()
    assert (encoder(source(V)).states - encoder(source(V)).states).abs().max() > 0.1
    entered = encoder.positional_encoding(torch.ones(B, S, D), None)
    assert entered.eq(0).any()
    torch.testing.assert_close(entered[entered.ne(0)], torch.tensor(2 * D**0.5).expand(int(entered.ne(0).sum())))
