"""The recurrent family through the interface: forward = step, padded = unpadded, one = many, select."""

import pytest
import torch
from torch import nn

from s2s.models.families import build_model
from s2s.models.interface import Batch, Source
from s2s.models.rnn import RnnEncoder
from s2s.models.seq2seq import Seq2Seq
from s2s.recipe.model_options import ModelOptions, RnnDecoderOptions, RnnEncoderOptions

B, S, T, V = 3, 5, 7, 17
LENGTHS = torch.tensor([5, 2, 4])


def network(context: str) -> Seq2Seq:
    torch.manual_seed(1)
    options = ModelOptions(
        embedding=6,
        encoder=RnnEncoderOptions(width=4),
        decoder=RnnDecoderOptions(width=9, context=context, attention_width=10),
    )
    model = build_model(options, V).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def source() -> Source:
    ids = torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(2))
    return Source(ids.masked_fill(torch.arange(S) >= LENGTHS.unsqueeze(1), 0), LENGTHS)


def targets() -> torch.Tensor:
    return torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(3))


contexts = pytest.mark.parametrize("context", ["summary", "attention"])


def test_encoder_is_torchs_bidirectional_gru_with_copied_weights() -> None:
    torch.manual_seed(4)
    embedding = nn.Embedding(V, 6)
    encoder, gru = (
        RnnEncoder(RnnEncoderOptions(width=4), embedding, 0.0),
        nn.GRU(6, 4, bidirectional=True, batch_first=True),
    )
    nn.init.normal_(encoder.bias)
    for direction, suffix in enumerate(["", "_reverse"]):
        getattr(gru, f"weight_ih_l0{suffix}").data = encoder.of_input.weight.data.chunk(2)[direction]
        getattr(gru, f"bias_ih_l0{suffix}").data = encoder.of_input.bias.data.chunk(2)[direction]
        getattr(gru, f"weight_hh_l0{suffix}").data = encoder.of_state.data[direction].t()
        getattr(gru, f"bias_hh_l0{suffix}").data = encoder.bias.data[direction, 0]
    given = source()
    memory = encoder(given.ids, given.lengths)
    packed = nn.utils.rnn.pack_padded_sequence(
        embedding(given.ids), given.lengths, batch_first=True, enforce_sorted=False
    )
    states, final = gru(packed)
    states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(memory.states[row, :length], states[row, :length])
    torch.testing.assert_close(memory.summary, torch.cat((final[0], final[1]), dim=-1))
    assert memory.mask.sum(1).tolist() == LENGTHS.tolist()


@contexts
def test_forward_is_repeated_step(context: str) -> None:
    model = network(context)
    memory = model.encoder(source().ids, LENGTHS)
    whole = model.decoder(memory, targets(), weights=True)
    state = model.decoder.start(memory, steps=T)
    for t in range(T):
        decoded, state = model.decoder.step(targets()[:, t : t + 1], state, weights=True)
        torch.testing.assert_close(decoded.hidden[:, 0], whole.hidden[:, t])
        if context == "attention":
            torch.testing.assert_close(decoded.weights[:, 0], whole.weights[:, t])
        else:
            assert decoded.weights is None
            assert whole.weights is None


@contexts
def test_padding_and_neighbours_change_nothing(context: str) -> None:
    model = network(context)
    given = source()
    together = model.decoder(model.encoder(given.ids, LENGTHS), targets()).hidden
    for row, length in enumerate(LENGTHS):
        alone = model.encoder(given.ids[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(model.decoder(alone, targets()[row : row + 1]).hidden[0], together[row])


@contexts
def test_select_reorders_and_widens(context: str) -> None:
    model = network(context)
    state = model.start(source(), steps=T)
    tokens = targets()[:, :1]
    _, state = model.step(tokens, state)
    rows, beams = torch.tensor([2, 0]), torch.zeros(2, 3, dtype=torch.long)
    wide = state.select(rows, beams)
    following = torch.tensor([[5, 6, 7], [8, 9, 10]])
    step, wide = model.step(following, wide)
    narrow = step.logits
    picked = torch.tensor([[2, 0], [1, 1]])
    step, _ = model.step(torch.tensor([[11, 12], [13, 14]]), wide.select(torch.tensor([0, 1]), picked))
    for i, row in enumerate(rows.tolist()):
        for k in range(3):
            single = model.start(Source(source().ids[row : row + 1], LENGTHS[row : row + 1]), steps=T)
            _, single = model.step(tokens[row : row + 1], single)
            alone, single = model.step(following[i : i + 1, k : k + 1], single)
            torch.testing.assert_close(narrow[i, k], alone.logits[0, 0])
            for column in (picked[i] == k).nonzero().flatten().tolist():
                last = torch.tensor([[11, 12], [13, 14]])[i, column].view(1, 1)
                after, _ = model.step(last, single)
                torch.testing.assert_close(step.logits[i, column], after.logits[0, 0])


@contexts
def test_what_belongs_to_a_sentence_is_not_copied_per_hypothesis(context: str) -> None:
    state = network(context).start(source(), steps=T)
    wide = state.select(torch.arange(B), torch.zeros(B, 5, dtype=torch.long))
    assert wide.hidden.shape[:2] == (B, 5)
    assert all(a is b for a, b in zip(state.sentence, wide.sentence, strict=True))


def test_the_summary_is_the_same_at_every_step_and_attention_is_not() -> None:
    model = network("attention")
    weights = model.decoder(model.encoder(source().ids, LENGTHS), targets(), weights=True).weights
    assert weights is not None
    assert (weights[:, 0] - weights[:, 1]).abs().max() > 1e-4
    for row, length in enumerate(LENGTHS):
        assert weights[row, :, length:].eq(0).all()


@contexts
def test_padding_has_no_gradient(context: str) -> None:
    model = network(context)
    given = source()
    extra = torch.full((1, 6), 0.0)
    table = nn.Parameter(torch.cat((model.encoder.embedding.weight.detach(), extra)))  # id V stands at padding alone
    model.encoder.embedding = nn.Embedding.from_pretrained(table, freeze=False)
    ids = given.ids.masked_fill(given.ids == 0, V)
    batch = Batch(Source(ids, LENGTHS), targets(), targets())
    model(batch).loss.backward()
    grad = model.encoder.embedding.weight.grad
    assert grad is not None
    assert grad[V].eq(0).all()
    assert grad[:V].ne(0).any()
