"""The written-out recurrences against naive loops from their equations, torch.nn.GRU, and numerical gradients."""

import torch
from torch import Tensor, nn

from s2s.models.recurrence import AttentionGru, GruSequence

T, G, B, S, H, D, A = 4, 2, 3, 5, 6, 7, 8


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def naive_gru(x: Tensor, s: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One step for one sentence: x [3H], s [H], weight [H, 3H], bias [3H]."""
    h = s @ weight + bias
    r = torch.sigmoid(x[:H] + h[:H])
    z = torch.sigmoid(x[H : 2 * H] + h[H : 2 * H])
    n = torch.tanh(x[2 * H :] + r * h[2 * H :])
    return (1 - z) * n + z * s


def test_gru_sequence_is_the_equation() -> None:
    torch.manual_seed(1)
    inputs, start, weight, bias = numbers(T, G, B, 3 * H), numbers(G, B, H), numbers(G, H, 3 * H), numbers(G, 1, 3 * H)
    states = GruSequence.apply(inputs, start, weight, bias)
    for g in range(G):
        for b in range(B):
            s = start[g, b]
            for t in range(T):
                s = naive_gru(inputs[t, g, b], s, weight[g], bias[g, 0])
                torch.testing.assert_close(states[t, g, b], s)


def test_gru_sequence_is_torchs_gru_with_copied_weights() -> None:
    torch.manual_seed(2)
    gru = nn.GRU(D, H)
    words, start = torch.randn(T, B, D), torch.randn(1, B, H)
    inputs = nn.functional.linear(words, gru.weight_ih_l0, gru.bias_ih_l0).unsqueeze(1)
    states = GruSequence.apply(inputs, start, gru.weight_hh_l0.t().unsqueeze(0), gru.bias_hh_l0.view(1, 1, -1))
    torch.testing.assert_close(states.squeeze(1), gru(words, start)[0])


def test_gru_sequence_gradients() -> None:
    torch.manual_seed(3)
    given = numbers(T, G, B, 3 * H), numbers(G, B, H), numbers(G, H, 3 * H), numbers(G, 1, 3 * H)
    assert torch.autograd.gradcheck(GruSequence.apply, given)


def attention_arguments() -> tuple[tuple[Tensor, ...], Tensor]:
    torch.manual_seed(4)
    mask = torch.tensor([[True] * 5, [True] * 4 + [False], [True] * 2 + [False] * 3])
    given = (
        numbers(T, B, 3 * H), numbers(B, H), numbers(B, S, A), numbers(B, S, D),
        numbers(D, 3 * H), numbers(H, A + 3 * H), numbers(A + 3 * H), numbers(A),
    )  # fmt: skip
    return given, mask


def test_attention_gru_is_the_equation() -> None:
    (inputs, start, keys, memory, of_context, of_state, bias, v), mask = attention_arguments()
    states, contexts, weights = AttentionGru.apply(inputs, start, keys, memory, mask, of_context, of_state, bias, v)
    for b in range(B):
        s, real = start[b], int(mask[b].sum())
        for t in range(T):
            query = s @ of_state[:, :A] + bias[:A]
            e = torch.stack([v @ torch.tanh(query + keys[b, i]) for i in range(real)])
            a = e.exp() / e.exp().sum()
            c = sum(a[i] * memory[b, i] for i in range(real))
            s = naive_gru(inputs[t, b] + c @ of_context, s, of_state[:, A:], bias[A:])
            torch.testing.assert_close(weights[t, b, :real], a)
            torch.testing.assert_close(contexts[t, b], c)
            torch.testing.assert_close(states[t, b], s)
        assert weights[:, b, real:].eq(0).all()


def test_attention_gru_gradients() -> None:
    given, mask = attention_arguments()

    def differentiable(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return AttentionGru.apply(*tensors[:4], mask, *tensors[4:])[:2]

    assert torch.autograd.gradcheck(differentiable, given)


def test_no_gradient_reaches_padding() -> None:
    given, mask = attention_arguments()
    states, contexts, _ = AttentionGru.apply(*given[:4], mask, *given[4:])
    (states.sum() + contexts.square().sum()).backward()
    for tensor in given[2:4]:
        assert tensor.grad is not None
        assert tensor.grad[~mask].eq(0).all()
        assert tensor.grad[mask].ne(0).any()


def test_bf16_products_stay_near_float32() -> None:
    torch.manual_seed(5)
    inputs, start, weight, bias = (
        torch.randn(T, G, B, 3 * H),
        torch.randn(G, B, H),
        torch.randn(G, H, 3 * H),
        torch.zeros(G, 1, 3 * H),
    )
    full = GruSequence.apply(inputs, start, weight, bias)
    half = GruSequence.apply(inputs, start, weight.bfloat16(), bias)
    assert half.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.1
