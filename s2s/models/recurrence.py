"""Recurrences over a whole sequence, with their backward passes written out.

Automatic differentiation of a time loop adds to every weight's gradient once per step; here a backward loop carries
only what the recurrence itself needs, and the gradients of the weights are one matrix product each over all steps.

T steps, G independent recurrences side by side (the two directions of an encoder), B sentences, S source positions, H
units, P × H numbers of a state, N × H of a cell's gates, D width of the memory, A width of the score.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from s2s.models.autocast import autocast_device, matmul_dtype
from s2s.models.cells import CellStep, GruStep


def recurrence(kind: type[CellStep], inputs: Tensor, start: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """G recurrences of a cell over T steps, its matrix products in the dtype of autocast.

    inputs [T, G, B, N × H] (the input's share of the gates), start [G, B, P × H], weight [G, H, N × H], bias
    [G, 1, N × H] -> states [T, G, B, P × H].
    """
    weight = weight.to(matmul_dtype(inputs))
    with torch.autocast(autocast_device(inputs), enabled=False):
        return _Recurrence.apply(kind, inputs, start, weight, bias)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kind: type[CellStep], inputs: Tensor, start: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """States [T, G, B, P × H]."""
        T, G, B, _ = inputs.shape
        H = weight.shape[1]
        states = inputs.new_empty(T + 1, G, B, kind.parts * H)
        states[0] = start
        ctx.kept = []
        for t in range(T):
            from_state = torch.bmm(states[t, ..., :H].to(weight.dtype), weight).to(inputs.dtype).add_(bias)
            states[t + 1], kept = kind.forward(inputs[t], from_state, states[t])
            ctx.kept.append(kept)
        ctx.kind = kind
        ctx.save_for_backward(states, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of inputs, start, weight, bias."""
        states, weight = ctx.saved_tensors
        kind, H = ctx.kind, weight.shape[1]
        grad_inputs = states.new_empty(*grad_states.shape[:3], kind.gates * H)
        grad_shares = grad_inputs if kind.shared else torch.empty_like(grad_inputs)
        back = weight.transpose(1, 2)
        grad = torch.zeros_like(states[0])
        for t in reversed(range(len(grad_states))):
            grad = grad + grad_states[t]
            direct = kind.backward(grad, ctx.kept[t], states[t], grad_inputs[t], grad_shares[t])
            direct[..., :H] += torch.bmm(grad_shares[t].to(weight.dtype), back).to(grad.dtype)
            grad = direct
        grad_weight = _over_time(states[:-1, ..., :H], grad_shares, weight.dtype)
        return None, grad_inputs, grad, grad_weight, grad_shares.sum((0, 2)).unsqueeze(1)


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

    `AttentionGru.apply(inputs, start, keys, memory, mask, context_proj, recurrent_proj, bias, v)`: inputs
    [T, B, 3H] (the input's share of the gates), start [B, H], keys [B, S, A], memory [B, S, D], mask [B, S] bool,
    context_proj C [D, 3H], recurrent_proj [H, A + 3H] (W and the state's share of the gates side by side),
    bias [A + 3H], v [A]. Returns states [T, B, H], contexts [T, B, D] and attention [T, B, S] (no gradient). Matrix
    products are computed in the dtype of `recurrent_proj`. The backward pass recomputes the tanh values [B, S, A] of
    each step instead of storing them.

    tanh x = 2 σ(2x) − 1 is used because σ is several times faster than tanh on a CPU; the constant cancels in the
    softmax.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        start: Tensor,
        keys: Tensor,
        memory: Tensor,
        mask: Tensor,
        context_proj: Tensor,
        recurrent_proj: Tensor,
        bias: Tensor,
        v: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States [T, B, H], contexts [T, B, D], attention [T, B, S]."""
        T, B, _ = inputs.shape
        H, A = start.shape[1], v.shape[0]
        states, contexts = inputs.new_empty(T + 1, B, H), inputs.new_empty(T, B, memory.shape[2])
        ctx.kept = []
        queries, attention = inputs.new_empty(T, B, A), inputs.new_empty(T, B, memory.shape[1])
        doubled, v2, padding = keys * 2, v * 2, ~mask
        squashed = torch.empty_like(keys)
        states[0] = start
        for t in range(T):
            from_state = torch.mm(states[t].to(recurrent_proj.dtype), recurrent_proj).to(inputs.dtype).add_(bias)
            torch.mul(from_state[:, :A], 2, out=queries[t])
            torch.add(doubled, queries[t].unsqueeze(1), out=squashed).sigmoid_()
            attention[t] = torch.matmul(squashed, v2).masked_fill_(padding, -torch.inf).softmax(1)
            torch.bmm(attention[t].unsqueeze(1), memory, out=contexts[t].unsqueeze(1))
            from_context = torch.mm(contexts[t].to(context_proj.dtype), context_proj)
            states[t + 1], kept = GruStep.forward(inputs[t] + from_context, from_state[:, A:], states[t])
            ctx.kept.append(kept)
        ctx.save_for_backward(states, contexts, attention, queries, doubled, memory, context_proj, recurrent_proj, v)
        ctx.mark_non_differentiable(attention)
        return states[1:], contexts, attention

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor, grad_contexts: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of everything but the mask."""
        states, contexts, attention, queries, doubled, memory, context_proj, recurrent_proj, v = ctx.saved_tensors
        (T, B, H), A, dtype = grad_states.shape, v.shape[0], recurrent_proj.dtype
        grad_inputs, grad_shares = states.new_empty(T, B, 3 * H), states.new_empty(T, B, A + 3 * H)
        grad_contexts = grad_contexts.clone()
        grad_slopes, grad_v = torch.zeros_like(doubled), torch.zeros_like(v)
        squashed, slope = torch.empty_like(doubled), torch.empty_like(doubled)
        grad = torch.zeros_like(states[0])
        for t in reversed(range(T)):
            grad = grad + grad_states[t]
            direct = GruStep.backward(grad, ctx.kept[t], states[t], grad_inputs[t], grad_shares[t, :, A:])
            grad_contexts[t] += torch.mm(grad_inputs[t].to(dtype), context_proj.t())
            grad_attention = torch.bmm(memory, grad_contexts[t].unsqueeze(2)).squeeze(2)
            grad_scores = torch._softmax_backward_data(grad_attention, attention[t], 1, grad_attention.dtype)
            torch.add(doubled, queries[t].unsqueeze(1), out=squashed).sigmoid_()
            torch.addcmul(squashed, squashed, squashed, value=-1, out=slope)  # σ(1 − σ) = tanh′ / 4
            grad_slopes.addcmul_(grad_scores.unsqueeze(2), slope)
            grad_v += torch.mv(squashed.view(-1, A).t(), grad_scores.view(-1))
            torch.mul(torch.bmm(grad_scores.unsqueeze(1), slope).squeeze(1), 4 * v, out=grad_shares[t, :, :A])
            grad = torch.mm(grad_shares[t].to(dtype), recurrent_proj.t()).to(direct.dtype).add_(direct)
        grad_memory = torch.bmm(attention.permute(1, 2, 0), grad_contexts.transpose(0, 1))
        grad_of_context = torch.mm(contexts.flatten(0, 1).to(dtype).t(), grad_inputs.flatten(0, 1).to(dtype))
        grad_of_state = torch.mm(states[:-1].flatten(0, 1).to(dtype).t(), grad_shares.flatten(0, 1).to(dtype))
        grad_keys = grad_slopes.mul_(4 * v)
        grad_bias = grad_shares.sum((0, 1))
        return grad_inputs, grad, grad_keys, grad_memory, None, grad_of_context, grad_of_state, grad_bias, 2 * grad_v
