"""The cells' steps against their equations, torch's cells with copied weights, and automatic differentiation."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from s2s.models.cells import CELL_STEPS, Cell

B, K, H, E, C = 3, 2, 5, 4, 7

cells = pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])


def sigmoid(x: float) -> float:
    return 1 / (1 + torch.tensor(-x, dtype=torch.float64).exp().item())


def tanh(x: float) -> float:
    return torch.tensor(x, dtype=torch.float64).tanh().item()


def naive_rnn(x: list[float], u: list[float], state: list[float]) -> list[float]:
    return [tanh(x[i] + u[i]) for i in range(H)]


def naive_gru(x: list[float], u: list[float], state: list[float]) -> list[float]:
    new = []
    for i in range(H):
        r, z = sigmoid(x[i] + u[i]), sigmoid(x[H + i] + u[H + i])
        n = tanh(x[2 * H + i] + r * u[2 * H + i])
        new.append((1 - z) * n + z * state[i])
    return new


def naive_lstm(x: list[float], u: list[float], state: list[float]) -> list[float]:
    outputs, cells = [], []
    for i in range(H):
        take, forget, give = (sigmoid(x[n * H + i] + u[n * H + i]) for n in (0, 1, 3))
        cells.append(forget * state[H + i] + take * tanh(x[2 * H + i] + u[2 * H + i]))
        outputs.append(give * tanh(cells[-1]))
    return outputs + cells


NAIVE: dict[str, Callable[[list[float], list[float], list[float]], list[float]]] = {
    "rnn": naive_rnn,
    "gru": naive_gru,
    "lstm": naive_lstm,
}


def shares(name: str) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    kind = CELL_STEPS[name]
    sizes = (kind.gates * H, kind.gates * H, kind.parts * H)
    x, u, state = (torch.randn(B, n, dtype=torch.float64, requires_grad=True) for n in sizes)
    return x, u, state


@cells
def test_a_step_is_the_equation(name: str) -> None:
    x, u, state = shares(name)
    new, _ = CELL_STEPS[name].forward(x, u, state)
    for row in range(B):
        expected = NAIVE[name](x[row].tolist(), u[row].tolist(), state[row].tolist())
        torch.testing.assert_close(new[row].tolist(), expected)


@cells
def test_the_written_out_backward_is_that_of_automatic_differentiation(name: str) -> None:
    kind, given = CELL_STEPS[name], shares(name)
    grad = torch.randn(B, kind.parts * H, dtype=torch.float64)
    new, kept = kind.forward(*given)
    expected = torch.autograd.grad(new, given, grad, materialize_grads=True)
    grad_input = torch.empty(B, kind.gates * H, dtype=torch.float64)
    grad_state = grad_input if kind.shared else torch.empty_like(grad_input)
    with torch.no_grad():
        direct = kind.backward(grad, kept, given[2], grad_input, grad_state)
    for found, right in zip((grad_input, grad_state, direct), expected, strict=True):
        torch.testing.assert_close(found, right)


@pytest.mark.parametrize(("name", "theirs"), [("rnn", nn.RNNCell), ("gru", nn.GRUCell), ("lstm", nn.LSTMCell)])
def test_a_cell_is_torchs_with_copied_weights(name: str, theirs: type[nn.RNNCellBase]) -> None:
    torch.manual_seed(2)
    cell, reference = Cell(name, E, C, H), theirs(E + C, H)  # type: ignore[call-arg]
    assert cell.context_proj is not None
    reference.weight_ih.data = torch.cat((cell.input_proj.weight, cell.context_proj.weight), 1)
    reference.bias_ih.data, reference.bias_hh.data = cell.input_proj.bias.data, cell.recurrent_proj.bias.data
    reference.weight_hh.data = cell.recurrent_proj.weight.data
    words, context, state = torch.randn(B * K, E), torch.randn(B * K, C), torch.randn(B * K, cell.kind.parts * H)
    given = (state[:, :H], state[:, H:]) if name == "lstm" else state
    found = cell(cell.input_proj(words) + cell.context_proj(context), state)
    right = reference(torch.cat((words, context), 1), given)
    torch.testing.assert_close(found, torch.cat(right, 1) if name == "lstm" else right)


@cells
def test_weights_of_the_state_are_orthogonal_and_an_lstm_remembers_to_begin_with(name: str) -> None:
    cell = Cell(name, E, 0, H)
    for gate in cell.recurrent_proj.weight.split(H):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(H))
    forget = slice(H, 2 * H) if name == "lstm" else slice(0)
    assert cell.recurrent_proj.bias[forget].eq(1).all()
    assert cell.recurrent_proj.bias.sum() == len(cell.recurrent_proj.bias[forget])
