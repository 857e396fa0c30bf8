"""Recurrent cells: the equations of one step, forward and backward, and a module that holds a cell's weights.

G: gates of a cell; P: parts of a cell's state, 2 for an LSTM, else 1. A state [..., P × H] begins with the cell's
output h [..., H]; an LSTM's c follows. Gate pre-activations are the sum of `input_gates` (from the input and the
context) and `recurrent_gates` (from the previous output), both [..., G × H], gates side by side.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


class CellStep(ABC):
    """One step of a cell, as a pair of functions without parameters."""

    gates: ClassVar[int]  # G
    parts: ClassVar[int]  # P
    shared: ClassVar[bool]  # whether input and recurrent gates are only ever added, so that their gradients are equal

    @staticmethod
    @abstractmethod
    def forward(input_gates: Tensor, recurrent_gates: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., P × H] and the tensors saved for `backward`, from gates [..., G × H]."""

    @staticmethod
    @abstractmethod
    def backward(
        grad: Tensor, saved: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_recurrent: Tensor
    ) -> Tensor:
        """Write the gradients of both gate pre-activations [..., G × H] into `grad_input` and `grad_recurrent`.

        `grad` [..., P × H] is the gradient of the next state. The two outputs are the same tensor if `shared`. Returns
        the gradient of the previous state [..., P × H] without the part that flows through `recurrent_gates`.
        """


class TanhStep(CellStep):
    """h' = tanh(x + u) (Elman 1990, with tanh)."""

    gates, parts, shared = 1, 1, True

    @staticmethod
    def forward(input_gates: Tensor, recurrent_gates: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., H] from gates [..., H] and the state [..., H]."""
        new = torch.add(input_gates, recurrent_gates).tanh_()
        return new, (new,)

    @staticmethod
    def backward(
        grad: Tensor, saved: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_recurrent: Tensor
    ) -> Tensor:
        """Write the gradients [..., H]; no gradient bypasses the matrix product."""
        grad_input.copy_(tanh_backward(grad, saved[0]))
        return torch.zeros_like(grad)


class GruStep(CellStep):
    """r = σ(x_r + u_r), z = σ(x_z + u_z), n = tanh(x_n + r ⊙ u_n), h' = (1 − z) ⊙ n + z ⊙ h.

    Cho et al. 2014, with the reset gate applied after the matrix product and the gates in the order r, z, n, as in
    torch.nn.GRU.
    """

    gates, parts, shared = 3, 1, False

    @staticmethod
    def forward(input_gates: Tensor, recurrent_gates: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., H] from gates [..., 3H] and the state [..., H]."""
        H = state.shape[-1]
        reset_update = torch.sigmoid(input_gates[..., : 2 * H] + recurrent_gates[..., : 2 * H])
        recurrent_new = recurrent_gates[..., 2 * H :]
        new = torch.addcmul(input_gates[..., 2 * H :], reset_update[..., :H], recurrent_new).tanh_()
        return torch.lerp(new, state, reset_update[..., H:]), (reset_update, new, recurrent_new)

    @staticmethod
    def backward(
        grad: Tensor, saved: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_recurrent: Tensor
    ) -> Tensor:
        """Write the gradients [..., 3H]; the update gate passes part of the gradient on unchanged."""
        reset_update, new, recurrent_new = saved
        H = state.shape[-1]
        reset, update = reset_update[..., :H], reset_update[..., H:]
        grad_new = tanh_backward(grad * (1 - update), new)
        grad_reset_update = torch.cat((grad_new * recurrent_new, grad * (state - new)), dim=-1)
        grad_reset_update = sigmoid_backward(grad_reset_update, reset_update)
        grad_input[..., : 2 * H] = grad_reset_update
        grad_input[..., 2 * H :] = grad_new
        grad_recurrent[..., : 2 * H] = grad_reset_update
        torch.mul(grad_new, reset, out=grad_recurrent[..., 2 * H :])
        return grad * update


class LstmStep(CellStep):
    """i, f, o = σ(…), g = tanh(…) of x + u; c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c'); gates in the order i, f, g, o.

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as in torch.nn.LSTM.
    """

    gates, parts, shared = 4, 2, True

    @staticmethod
    def forward(input_gates: Tensor, recurrent_gates: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., 2H] from gates [..., 4H] and the state [..., 2H]."""
        H = state.shape[-1] // 2
        gates = input_gates + recurrent_gates
        input_forget = gates[..., : 2 * H].sigmoid()
        candidate = gates[..., 2 * H : 3 * H].tanh()
        output_gate = gates[..., 3 * H :].sigmoid()
        cell = torch.addcmul(input_forget[..., H:] * state[..., H:], input_forget[..., :H], candidate)
        tanh_cell = cell.tanh()
        return torch.cat((output_gate * tanh_cell, cell), dim=-1), (input_forget, candidate, output_gate, tanh_cell)

    @staticmethod
    def backward(
        grad: Tensor, saved: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_recurrent: Tensor
    ) -> Tensor:
        """Write the gradients [..., 4H]; the forget gate passes part of c's gradient on unchanged."""
        input_forget, candidate, output_gate, tanh_cell = saved
        H = candidate.shape[-1]
        grad_output = grad[..., :H]
        grad_cell = grad[..., H:] + tanh_backward(grad_output * output_gate, tanh_cell)
        grad_input_forget = torch.cat((grad_cell * candidate, grad_cell * state[..., H:]), dim=-1)
        grad_input[..., : 2 * H] = sigmoid_backward(grad_input_forget, input_forget)
        grad_input[..., 2 * H : 3 * H] = tanh_backward(grad_cell * input_forget[..., :H], candidate)
        grad_input[..., 3 * H :] = sigmoid_backward(grad_output * tanh_cell, output_gate)
        direct = torch.zeros_like(grad)
        torch.mul(grad_cell, input_forget[..., H:], out=direct[..., H:])
        return direct


CELL_STEPS: dict[str, type[CellStep]] = {"rnn": TanhStep, "gru": GruStep, "lstm": LstmStep}


class Cell(nn.Module):
    """Weights of one recurrent layer that runs step by step: projections of input, context and previous output."""

    def __init__(self, name: str, input_size: int, context_size: int, hidden_size: int) -> None:
        """Build a cell of CELL_STEPS; a `context_size` of 0 means that the cell has no context."""
        super().__init__()
        self.kind = CELL_STEPS[name]
        self.hidden_size = hidden_size
        self.input_proj = nn.Linear(input_size, self.kind.gates * hidden_size)
        self.context_proj = nn.Linear(context_size, self.kind.gates * hidden_size, bias=False) if context_size else None
        self.recurrent_proj = nn.Linear(hidden_size, self.kind.gates * hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize the recurrent projection; the others keep PyTorch's default."""
        init_recurrent(self.kind, self.recurrent_proj.weight.t(), self.recurrent_proj.bias)

    def forward(self, input_gates: Tensor, state: Tensor) -> Tensor:
        """Return the next state [..., P × H] from input gates [..., G × H] and the state [..., P × H]."""
        recurrent_gates = self.recurrent_proj(state[..., : self.hidden_size]).to(state.dtype)
        return self.kind.forward(input_gates.to(state.dtype), recurrent_gates, state)[0]


@torch.no_grad()
def init_recurrent(kind: type[CellStep], weight: Tensor, bias: Tensor) -> None:
    """Make the recurrent weight [H, G × H] orthogonal gate by gate (Saxe et al. 2014) and the bias 0.

    An LSTM's forget gate gets bias 1 (Jozefowicz et al. 2015, section 2.2), so that it initially remembers.
    """
    H = weight.shape[0]
    for gate in weight.split(H, dim=1):
        nn.init.orthogonal_(gate)
    bias.zero_()
    if kind is LstmStep:
        bias[..., H : 2 * H] = 1
