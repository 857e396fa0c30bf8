"""Recurrent cells: the equations of one step, forwards and backwards, and the weights of a step.

H units. A state is one tensor [..., H], or [..., 2H] for an LSTM (h and c side by side); its first H numbers are the
cell's output h. A step is given the gates' share of the input and of the output before, gates side by side.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


class CellStep(ABC):
    """One step of a cell: `gates` × H numbers decide, `parts` × H numbers are the state."""

    gates: ClassVar[int]
    parts: ClassVar[int]
    shared: ClassVar[bool]  # whether the two shares of the gates are just added, so that their gradients are the same

    @staticmethod
    @abstractmethod
    def forward(from_input: Tensor, from_state: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., parts × H] and the tensors for `backward`, from shares [..., gates × H]."""

    @staticmethod
    @abstractmethod
    def backward(
        grad: Tensor, kept: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_state: Tensor
    ) -> Tensor:
        """Fill grad_input and grad_state [..., gates × H], from the gradient of the next state.

        `grad_state` is `grad_input` itself where `shared`. Returns the gradient of the state before that does not go
        through `from_state`.
        """


class TanhStep(CellStep):
    """h' = tanh(x + u)    Elman 1990, with tanh."""

    gates, parts, shared = 1, 1, True

    @staticmethod
    def forward(from_input: Tensor, from_state: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., H] from shares [..., H] and the state [..., H]."""
        new = torch.add(from_input, from_state).tanh_()
        return new, (new,)

    @staticmethod
    def backward(
        grad: Tensor, kept: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_state: Tensor
    ) -> Tensor:
        """Fill the gradients [..., H]; no gradient bypasses the matrix product."""
        grad_input.copy_(tanh_backward(grad, kept[0]))
        return torch.zeros_like(grad)


class GruStep(CellStep):
    """r = σ(x_r + u_r), z = σ(x_z + u_z), n = tanh(x_n + r ⊙ u_n), h' = (1 − z) ⊙ n + z ⊙ h.

    Cho et al. 2014, with the reset gate behind the matrix product and the gates in the order r, z, n, as torch.nn.GRU.
    """

    gates, parts, shared = 3, 1, False

    @staticmethod
    def forward(from_input: Tensor, from_state: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., H] from shares [..., 3H] and the state [..., H]."""
        H = state.shape[-1]
        gates = torch.sigmoid(from_input[..., : 2 * H] + from_state[..., : 2 * H])
        share = from_state[..., 2 * H :]
        new = torch.addcmul(from_input[..., 2 * H :], gates[..., :H], share).tanh_()
        return torch.lerp(new, state, gates[..., H:]), (gates, new, share)

    @staticmethod
    def backward(
        grad: Tensor, kept: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_state: Tensor
    ) -> Tensor:
        """Fill the gradients [..., 3H]; the update gate passes part of the gradient on unchanged."""
        gates, new, share = kept
        H = state.shape[-1]
        reset, update = gates[..., :H], gates[..., H:]
        pre_new = tanh_backward(grad * (1 - update), new)
        grad_gates = torch.cat((pre_new * share, grad * (state - new)), dim=-1)
        grad_gates = sigmoid_backward(grad_gates, gates)
        grad_input[..., : 2 * H] = grad_gates
        grad_input[..., 2 * H :] = pre_new
        grad_state[..., : 2 * H] = grad_gates
        torch.mul(pre_new, reset, out=grad_state[..., 2 * H :])
        return grad * update


class LstmStep(CellStep):
    """i, f, o = σ(…), g = tanh(…) of x + u; c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c'); gates in the order i, f, g, o.

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as torch.nn.LSTM has it.
    """

    gates, parts, shared = 4, 2, True

    @staticmethod
    def forward(from_input: Tensor, from_state: Tensor, state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next state [..., 2H] from shares [..., 4H] and the state [..., 2H]."""
        H = state.shape[-1] // 2
        summed = from_input + from_state
        input_forget, candidate, output_gate = (
            summed[..., : 2 * H].sigmoid(),
            summed[..., 2 * H : 3 * H].tanh(),
            summed[..., 3 * H :].sigmoid(),
        )
        cell = torch.addcmul(input_forget[..., H:] * state[..., H:], input_forget[..., :H], candidate)
        squashed = cell.tanh()
        return torch.cat((output_gate * squashed, cell), dim=-1), (input_forget, candidate, output_gate, squashed)

    @staticmethod
    def backward(
        grad: Tensor, kept: tuple[Tensor, ...], state: Tensor, grad_input: Tensor, grad_state: Tensor
    ) -> Tensor:
        """Fill the gradients [..., 4H]; the forget gate passes part of c's gradient on unchanged."""
        input_forget, candidate, output_gate, squashed = kept
        H = candidate.shape[-1]
        grad_output = grad[..., :H]
        grad_cell = grad[..., H:] + tanh_backward(grad_output * output_gate, squashed)
        grad_input_forget = torch.cat((grad_cell * candidate, grad_cell * state[..., H:]), dim=-1)
        grad_input[..., : 2 * H] = sigmoid_backward(grad_input_forget, input_forget)
        grad_input[..., 2 * H : 3 * H] = tanh_backward(grad_cell * input_forget[..., :H], candidate)
        grad_input[..., 3 * H :] = sigmoid_backward(grad_output * squashed, output_gate)
        direct = torch.zeros_like(grad)
        torch.mul(grad_cell, input_forget[..., H:], out=direct[..., H:])
        return direct


CELL_STEPS: dict[str, type[CellStep]] = {"rnn": TanhStep, "gru": GruStep, "lstm": LstmStep}


class Cell(nn.Module):
    """The weights of a step: the shares in its gates of an input, of a context (where there is one), of its output."""

    def __init__(self, name: str, input_size: int, context_size: int, hidden_size: int) -> None:
        super().__init__()
        self.kind = CELL_STEPS[name]
        self.hidden_size = hidden_size
        self.input_proj = nn.Linear(input_size, self.kind.gates * hidden_size)
        self.context_proj = nn.Linear(context_size, self.kind.gates * hidden_size, bias=False) if context_size else None
        self.recurrent_proj = nn.Linear(hidden_size, self.kind.gates * hidden_size)
        initialise(self.kind, self.recurrent_proj.weight.data.t(), self.recurrent_proj.bias.data)

    def forward(self, from_input: Tensor, state: Tensor) -> Tensor:
        """Return the next state from the input and context share [..., gates × H] and the state [..., parts × H]."""
        from_state = self.recurrent_proj(state[..., : self.hidden_size]).to(state.dtype)
        return self.kind.forward(from_input.to(state.dtype), from_state, state)[0]


def initialise(kind: type[CellStep], weight: Tensor, bias: Tensor) -> None:
    """Fill the share of the state: weight [H, gates × H] orthogonal by gates (Saxe et al. 2014), bias 0.

    An LSTM's forget gate has bias 1 (Jozefowicz et al. 2015, section 2.2), so that it remembers to begin with.
    """
    H = weight.shape[0]
    for gate in weight.split(H, dim=1):
        nn.init.orthogonal_(gate)
    bias.zero_()
    if kind is LstmStep:
        bias[..., H : 2 * H] = 1
