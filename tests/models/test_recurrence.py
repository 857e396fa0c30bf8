"""The written-out recurrences against naive loops from their equations, torch.nn, and numerical gradients."""

import pytest
import torch
from torch import Tensor, nn

from s2s.models.cells import CELL_STEPS, GruStep
from s2s.models.recurrence import AttentionGru, recurrence

T, G, B, S, H, D, A = 4, 2, 3, 5, 6, 7, 8

cells = pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def given(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs, start, weight, bias."""
    torch.manual_seed(1)
    kind = CELL_STEPS[name]
    N = kind.gates * H
    return numbers(T, G, B, N), numbers(G, B, kind.parts * H), numbers(G, H, N), numbers(G, 1, N)


@cells
def test_a_recurrence_is_a_loop_of_steps(name: str) -> None:
    kind, (inputs, start, weight, bias) = CELL_STEPS[name], given(name)
    states = recurrence(kind, inputs, start, weight, bias)
    for g in range(G):
        for b in range(B):
            state = start[g, b]
            for t in range(T):
                state, _ = kind.forward(inputs[t, g, b], state[:H] @ weight[g] + bias[g, 0], state)
                torch.testing.assert_close(states[t, g, b], state)


@pytest.mark.parametrize(("name", "theirs"), [("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_a_recurrence_is_torchs_with_copied_weights(name: str, theirs: type[nn.RNNBase]) -> None:
    torch.manual_seed(2)
    network = theirs(D, H)
    words, start = torch.randn(T, B, D), torch.randn(1, B, CELL_STEPS[name].parts * H)
    inputs = nn.functional.linear(words, network.weight_ih_l0, network.bias_ih_l0).unsqueeze(1)
    weight, bias = network.weight_hh_l0.t().unsqueeze(0), network.bias_hh_l0.view(1, 1, -1)
    states = recurrence(CELL_STEPS[name], inputs, start, weight, bias).squeeze(1)
    first = (start[..., :H].contiguous(), start[..., H:].contiguous()) if name == "lstm" else start
    torch.testing.assert_close(states[..., :H], network(words, first)[0])


@cells
def test_gradients(name: str) -> None:
    kind = CELL_STEPS[name]

    def differentiable(*tensors: Tensor) -> Tensor:
        return recurrence(kind, *tensors)

    assert torch.autograd.gradcheck(differentiable, given(name))


def attention_arguments() -> tuple[tuple[Tensor, ...], Tensor]:
    torch.manual_seed(4)
    mask = torch.tensor([[True] * 5, [True] * 4 + [False], [True] * 2 + [False] * 3])
    given = (
        numbers(T, B, 3 * H), numbers(B, H), numbers(B, S, A), numbers(B, S, D),
        numbers(D, 3 * H), numbers(H, A + 3 * H), numbers(A + 3 * H), numbers(A),
    )  # fmt: skip
    return given, mask


def test_attention_gru_is_the_equation() -> None:
    (inputs, start, keys, memory, context_proj, recurrent_proj, bias, v), mask = attention_arguments()
    states, contexts, weights = AttentionGru.apply(
        inputs, start, keys, memory, mask, context_proj, recurrent_proj, bias, v
    )
    for b in range(B):
        s, real = start[b], int(mask[b].sum())
        for t in range(T):
            query = s @ recurrent_proj[:, :A] + bias[:A]
            e = torch.stack([v @ torch.tanh(query + keys[b, i]) for i in range(real)])
            a = e.exp() / e.exp().sum()
            c = sum(a[i] * memory[b, i] for i in range(real))
            s, _ = GruStep.forward(inputs[t, b] + c @ context_proj, s @ recurrent_proj[:, A:] + bias[A:], s)
            torch.testing.assert_close(weights[t, b, :real], a)
            torch.testing.assert_close(contexts[t, b], c)
            torch.testing.assert_close(states[t, b], s)
        assert weights[:, b, real:].eq(0).all()


def test_attention_gru_gradients() -> None:
    given, mask = attention_arguments()

    def differentiable(*tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return AttentionGru.apply(*tensors[:4], mask, *tensors[4:])

    assert torch.autograd.gradcheck(differentiable, given)


def test_no_gradient_reaches_padding() -> None:
    given, mask = attention_arguments()
    states, contexts, _ = AttentionGru.apply(*given[:4], mask, *given[4:])
    (states.sum() + contexts.square().sum()).backward()
    for tensor in given[2:4]:
        assert tensor.grad is not None
        assert tensor.grad[~mask].eq(0).all()
        assert tensor.grad[mask].ne(0).any()


@cells
def test_bf16_products_stay_near_float32(name: str) -> None:
    arguments = [tensor.detach().float() for tensor in given(name)]
    full = recurrence(CELL_STEPS[name], *arguments)
    with torch.autocast("cpu", torch.bfloat16):
        half = recurrence(CELL_STEPS[name], *arguments)
    assert half.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.2
