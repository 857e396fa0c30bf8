"""Recurrences over a whole sequence, with their backward passes written out.

Automatic differentiation of a time loop adds to every weight's gradient once per step; here a backward loop carries
only what the recurrence itself needs, and the gradients of the weights are one matrix product each over all steps.

T steps, G independent recurrences side by side (the two directions of an encoder), B sentences, S source positions, H
units, D width of the memory, A width of the score. Gates lie in the order reset, update, new.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def gru_step(from_input: Tensor, from_state: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of a GRU (Cho et al. 2014, with the reset gate behind the matrix product, as torch.nn.GRU has it).

    r = σ(x_r + h_r), z = σ(x_z + h_z), n = tanh(x_n + r ⊙ h_n), s' = (1 − z) ⊙ n + z ⊙ s
    from_input [..., 3H] and from_state [..., 3H] are the gates' two shares, state is [..., H].
    Returns r and z in one [..., 2H], n [..., H] and s' [..., H].
    """
    H = state.shape[-1]
    gates = torch.sigmoid(from_input[..., : 2 * H] + from_state[..., : 2 * H])
    new = torch.addcmul(from_input[..., 2 * H :], gates[..., :H], from_state[..., 2 * H :]).tanh_()
    return gates, new, torch.lerp(new, state, gates[..., H:])


def gru_step_backward(
    grad: Tensor, gates: Tensor, new: Tensor, state: Tensor, state_new: Tensor, grad_input: Tensor, grad_state: Tensor
) -> Tensor:
    """Backward of `gru_step`: grad [..., H] of s'; `state_new` [..., H] is h_n.

    Fills grad_input and grad_state [..., 3H] and returns the direct share of the gradient of s [..., H].
    """
    H = state.shape[-1]
    reset, update = gates[..., :H], gates[..., H:]
    pre_new = tanh_backward(grad * (1 - update), new)
    grad_gates = torch.cat((pre_new * state_new, grad * (state - new)), dim=-1)
    grad_gates = sigmoid_backward(grad_gates, gates)
    grad_input[..., : 2 * H] = grad_gates
    grad_input[..., 2 * H :] = pre_new
    grad_state[..., : 2 * H] = grad_gates
    torch.mul(pre_new, reset, out=grad_state[..., 2 * H :])
    return grad * update


class GruSequence(torch.autograd.Function):
    """G GRUs over T steps: `GruSequence.apply(inputs, start, weight, bias)`.

    inputs [T, G, B, 3H] (the input's share of the gates), start [G, B, H], weight [G, H, 3H], bias [G, 1, 3H] -> states
    [T, G, B, H]. Matrix products are computed in the dtype of `weight`, everything else in that of `inputs`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, inputs: Tensor, start: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """States [T, G, B, H]."""
        T, G, B, wide = inputs.shape
        H = wide // 3
        states = inputs.new_empty(T + 1, G, B, H)
        states[0] = start
        gates, news, shares = (inputs.new_empty(T, G, B, n) for n in (2 * H, H, H))
        for t in range(T):
            from_state = torch.bmm(states[t].to(weight.dtype), weight).to(inputs.dtype).add_(bias)
            shares[t] = from_state[..., 2 * H :]
            gates[t], news[t], states[t + 1] = gru_step(inputs[t], from_state, states[t])
        ctx.save_for_backward(states, gates, news, shares, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of inputs, start, weight, bias."""
        states, gates, news, shares, weight = ctx.saved_tensors
        T, _, _, H = news.shape
        grad_inputs = news.new_empty(*news.shape[:3], 3 * H)
        grad_shares = torch.empty_like(grad_inputs)
        back = weight.transpose(1, 2)
        grad = torch.zeros_like(states[0])
        for t in reversed(range(T)):
            grad = grad + grad_states[t]
            direct = gru_step_backward(grad, gates[t], news[t], states[t], shares[t], grad_inputs[t], grad_shares[t])
            grad = torch.bmm(grad_shares[t].to(weight.dtype), back).to(direct.dtype).add_(direct)
        grad_weight = _over_time(states[:-1], grad_shares, weight.dtype)
        return grad_inputs, grad, grad_weight, grad_shares.sum((0, 2)).unsqueeze(1)


def _over_time(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """Σ over steps and sentences of leftᵀ right: [T, G, B, M], [T, G, B, N] -> [G, M, N]."""
    return torch.stack(
        [
            torch.mm(left[:, g].flatten(0, 1).to(dtype).t(), right[:, g].flatten(0, 1).to(dtype))
            for g in range(left.shape[1])
        ]
    )


class AttentionGru(torch.autograd.Function):
    """A GRU that attends before every step with its previous state (Bahdanau et al. 2015, equations 4–8 and A.1.2).

    e_{t,i} = v · tanh(W s_{t-1} + k_i), a_t = softmax(e_t), c_t = Σ_i a_{t,i} h_i, s_t = GRU(x_t + C c_t, s_{t-1})

    `AttentionGru.apply(inputs, start, keys, memory, mask, of_context, of_state, bias, v)`: inputs [T, B, 3H] (the
    input's share of the gates), start [B, H], keys [B, S, A], memory [B, S, D], mask [B, S] bool, of_context C [D, 3H],
    of_state [H, A + 3H] (W and the state's share of the gates side by side), bias [A + 3H], v [A]. Returns states [T,
    B, H], contexts [T, B, D] and weights [T, B, S] (no gradient). Matrix products are computed in the dtype of
    `of_state`. The tanh values [B, S, A] of a step are computed again on the way back instead of kept.

    tanh x = 2 σ(2x) − 1 is used because σ is several times faster than tanh on a CPU; the constant cancels in the
    softmax.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        inputs: Tensor,
        start: Tensor,
        keys: Tensor,
        memory: Tensor,
        mask: Tensor,
        of_context: Tensor,
        of_state: Tensor,
        bias: Tensor,
        v: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States [T, B, H], contexts [T, B, D], weights [T, B, S]."""
        T, B, _ = inputs.shape
        H, A = start.shape[1], v.shape[0]
        states, contexts = inputs.new_empty(T + 1, B, H), inputs.new_empty(T, B, memory.shape[2])
        gates, news, shares = (inputs.new_empty(T, B, n) for n in (2 * H, H, H))
        queries, weights = inputs.new_empty(T, B, A), inputs.new_empty(T, B, memory.shape[1])
        doubled, v2, padding = keys * 2, v * 2, ~mask
        squashed = torch.empty_like(keys)
        states[0] = start
        for t in range(T):
            from_state = torch.mm(states[t].to(of_state.dtype), of_state).to(inputs.dtype).add_(bias)
            torch.mul(from_state[:, :A], 2, out=queries[t])
            shares[t] = from_state[:, A + 2 * H :]
            torch.add(doubled, queries[t].unsqueeze(1), out=squashed).sigmoid_()
            weights[t] = torch.matmul(squashed, v2).masked_fill_(padding, -torch.inf).softmax(1)
            torch.bmm(weights[t].unsqueeze(1), memory, out=contexts[t].unsqueeze(1))
            from_context = torch.mm(contexts[t].to(of_context.dtype), of_context)
            gates[t], news[t], states[t + 1] = gru_step(inputs[t] + from_context, from_state[:, A:], states[t])
        ctx.save_for_backward(
            states, contexts, weights, queries, gates, news, shares, doubled, memory, of_context, of_state, v
        )
        ctx.mark_non_differentiable(weights)
        return states[1:], contexts, weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor, grad_contexts: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of everything but the mask."""
        states, contexts, weights, queries, gates, news, shares, doubled, memory, of_context, of_state, v = (
            ctx.saved_tensors
        )
        (T, B, H), A, dtype = news.shape, v.shape[0], of_state.dtype
        grad_inputs, grad_shares = news.new_empty(T, B, 3 * H), news.new_empty(T, B, A + 3 * H)
        grad_contexts = grad_contexts.clone()
        grad_slopes, grad_v = torch.zeros_like(doubled), torch.zeros_like(v)
        squashed, slope = torch.empty_like(doubled), torch.empty_like(doubled)
        grad = torch.zeros_like(states[0])
        for t in reversed(range(T)):
            grad = grad + grad_states[t]
            direct = gru_step_backward(
                grad, gates[t], news[t], states[t], shares[t], grad_inputs[t], grad_shares[t, :, A:]
            )
            grad_contexts[t] += torch.mm(grad_inputs[t].to(dtype), of_context.t())
            grad_weights = torch.bmm(memory, grad_contexts[t].unsqueeze(2)).squeeze(2)
            grad_scores = torch._softmax_backward_data(grad_weights, weights[t], 1, grad_weights.dtype)
            torch.add(doubled, queries[t].unsqueeze(1), out=squashed).sigmoid_()
            torch.addcmul(squashed, squashed, squashed, value=-1, out=slope)  # σ(1 − σ) = tanh′ / 4
            grad_slopes.addcmul_(grad_scores.unsqueeze(2), slope)
            grad_v += torch.mv(squashed.view(-1, A).t(), grad_scores.view(-1))
            torch.mul(torch.bmm(grad_scores.unsqueeze(1), slope).squeeze(1), 4 * v, out=grad_shares[t, :, :A])
            grad = torch.mm(grad_shares[t].to(dtype), of_state.t()).to(direct.dtype).add_(direct)
        grad_memory = torch.bmm(weights.permute(1, 2, 0), grad_contexts.transpose(0, 1))
        grad_of_context = torch.mm(contexts.flatten(0, 1).to(dtype).t(), grad_inputs.flatten(0, 1).to(dtype))
        grad_of_state = torch.mm(states[:-1].flatten(0, 1).to(dtype).t(), grad_shares.flatten(0, 1).to(dtype))
        grad_keys = grad_slopes.mul_(4 * v)
        grad_bias = grad_shares.sum((0, 1))
        return grad_inputs, grad, grad_keys, grad_memory, None, grad_of_context, grad_of_state, grad_bias, 2 * grad_v
