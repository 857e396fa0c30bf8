"""Recurrent decoders against naive loops from their equations."""

import pytest
import torch
from torch import Tensor, nn

from s2s.models.interface import Memory, MemorySpec
from s2s.models.rnn_attention import AttentionDecoder, CurrentQueryDecoder, PreviousQueryDecoder
from s2s.models.rnn_decoder import FixedContextDecoder, RnnDecoder
from s2s.recipe.sides import RnnDecoderOptions

B, S, T, V, E, H, D, A, Z = 3, 5, 7, 17, 6, 9, 8, 10, 11  # Z: width of the summary
LENGTHS = torch.tensor([5, 2, 4])


def memory() -> Memory:
    random = torch.Generator().manual_seed(1)
    states, summary = torch.randn(B, S, D, generator=random), torch.randn(B, Z, generator=random)
    return Memory(states, torch.arange(S) < LENGTHS.unsqueeze(1), summary)


def made(kind: type[RnnDecoder], **options: object) -> RnnDecoder:
    torch.manual_seed(2)
    chosen = RnnDecoderOptions(hidden_size=H, attention_size=A, **options)
    decoder = kind(chosen, nn.Embedding(V, E), MemorySpec(states=D, summary=Z), 0.0).eval()  # type: ignore[call-arg]
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.4)
    return decoder


def inputs() -> Tensor:
    return torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(3))


def next_states(decoder: RnnDecoder, words: Tensor, entering: Tensor | None, states: list[Tensor]) -> list[Tensor]:
    """The layers' next states of one sentence, by the cells' own equations."""
    cells, following, below = decoder.layers, [], words
    for index, (cell, state) in enumerate(zip(cells, states, strict=True)):
        share = cell.input_proj(below)
        if index == 0 and entering is not None:
            assert cell.context_proj is not None
            share = share + cell.context_proj(entering)
        following.append(cell.kind.forward(share, cell.recurrent_proj(state[:H]), state)[0])
        below = following[-1][:H]
    return following


def naive_attention(decoder: AttentionDecoder, query: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Context [D] and need_attention of real states [length, D]."""
    keys = decoder.score.keys(states.unsqueeze(0))
    e = torch.stack([decoder.score(query.view(1, 1, H), keys[:, i : i + 1]).squeeze() for i in range(len(states))])
    a = e.exp() / e.exp().sum()
    return torch.stack([a[i] * states[i] for i in range(len(states))]).sum(0), a


cases = pytest.mark.parametrize(("cell", "layers"), [("rnn", 1), ("gru", 1), ("gru", 2), ("lstm", 1), ("lstm", 3)])


def first_states(decoder: RnnDecoder, row: int) -> list[Tensor]:
    return list(torch.tanh(decoder.initial(memory().summary[row])).chunk(len(decoder.layers)))


@cases
@pytest.mark.parametrize("context", ["fixed", "initial"])
def test_the_bottleneck_is_its_equation(cell: str, layers: int, context: str) -> None:
    decoder = made(FixedContextDecoder, cell=cell, layers=layers, context=context)
    found = decoder(memory(), inputs(), need_attention=True)
    assert found.attention is None
    for row in range(B):
        states, c = first_states(decoder, row), memory().summary[row]
        for t in range(T):
            y = decoder.embedding(inputs()[row, t])
            states = next_states(decoder, y, c if context == "fixed" else None, states)
            summed = decoder.from_state(states[-1][:H]) + decoder.from_input(y)
            if context == "fixed":
                assert decoder.from_context is not None
                summed = summed + decoder.from_context(c)
            torch.testing.assert_close(found.hidden[row, t], torch.tanh(summed))


@cases
@pytest.mark.parametrize("score", ["additive", "general", "scaled_dot"])
def test_attention_with_the_previous_state_is_its_equation(cell: str, layers: int, score: str) -> None:
    decoder = made(PreviousQueryDecoder, cell=cell, layers=layers, score=score)
    assert isinstance(decoder, PreviousQueryDecoder)
    assert decoder.from_context is not None
    found = decoder(memory(), inputs(), need_attention=True)
    assert found.attention is not None
    for row, length in enumerate(LENGTHS.tolist()):
        states = first_states(decoder, row)
        for t in range(T):
            y = decoder.embedding(inputs()[row, t])
            c, a = naive_attention(decoder, states[0][:H], memory().states[row, :length])
            states = next_states(decoder, y, c, states)
            summed = decoder.from_state(states[-1][:H]) + decoder.from_context(c) + decoder.from_input(y)
            torch.testing.assert_close(found.hidden[row, t], torch.tanh(summed))
            torch.testing.assert_close(found.attention[row, t, :length], a)
        assert found.attention[row, :, length:].eq(0).all()


@cases
@pytest.mark.parametrize("score", ["additive", "general", "scaled_dot"])
def test_attention_with_the_current_state_is_its_equation(cell: str, layers: int, score: str) -> None:
    decoder = made(CurrentQueryDecoder, cell=cell, layers=layers, score=score, query="current")
    assert isinstance(decoder, CurrentQueryDecoder)
    assert decoder.from_context is not None
    found = decoder(memory(), inputs(), need_attention=True)
    assert found.attention is not None
    for row, length in enumerate(LENGTHS.tolist()):
        states, fed = first_states(decoder, row), torch.zeros(E)
        for t in range(T):
            states = next_states(decoder, decoder.embedding(inputs()[row, t]), fed, states)
            c, a = naive_attention(decoder, states[-1][:H], memory().states[row, :length])
            fed = torch.tanh(decoder.from_state(states[-1][:H]) + decoder.from_context(c))
            torch.testing.assert_close(found.hidden[row, t], fed)
            torch.testing.assert_close(found.attention[row, t, :length], a)
        assert found.attention[row, :, length:].eq(0).all()


def test_the_written_out_gru_is_the_loop_of_steps() -> None:
    decoder = made(PreviousQueryDecoder, cell="gru")
    assert isinstance(decoder, PreviousQueryDecoder)
    first = decoder.initial_states(memory())[0]
    gates = decoder.first.input_proj(decoder.embedding(inputs().t()))
    for fast, slow in zip(
        decoder._fused_first_layer(gates, first, memory()), decoder._first_layer(gates, first, memory()), strict=True
    ):
        torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize("kind", [PreviousQueryDecoder, CurrentQueryDecoder])
def test_variational_dropout_drops_the_same_units_between_layers_at_every_step(
    kind: type[RnnDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = made(kind, cell="lstm", layers=2, variational=True, query="current").train()
    decoder.dropout.dropped = 128
    between = []
    forward = nn.Linear.forward

    def noted(layer: nn.Linear, values: Tensor) -> Tensor:
        if layer is decoder.layers[1].input_proj:
            between.append(values.reshape(-1, B, H).eq(0))
        return forward(layer, values)

    monkeypatch.setattr(nn.Linear, "forward", noted)
    decoder(memory(), inputs())
    zeros = torch.cat(between)
    assert len(zeros) == T
    assert zeros.eq(zeros[:1]).all()
    assert zeros.any()
    assert not zeros[0, 0].eq(zeros[0, 1]).all()


def test_what_belongs_to_a_sentence_is_not_copied_per_hypothesis() -> None:
    state = made(CurrentQueryDecoder, query="current").start(memory(), max_steps=T)
    wide = state.select(None, torch.zeros(B, 4, dtype=torch.long))
    assert all(part.shape[:2] == (B, 4) for part in wide.hypothesis)  # type: ignore[attr-defined]
    assert all(a is b for a, b in zip(state.sentence, wide.sentence, strict=True))  # type: ignore[attr-defined]
