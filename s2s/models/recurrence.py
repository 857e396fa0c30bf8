"""Recurrences over a whole sequence, with explicit backward passes.

Automatic differentiation of a time loop adds to every weight's gradient once per step; here a backward loop carries
only what the recurrence itself needs, and the gradients of the weights are one matrix product each over all steps.

A: attention size; G: gates of a cell; P: parts of a cell's state; R: independent recurrences side by side (the
directions of an encoder). T counts the steps of any recurrence, an encoder's too.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from s2s.models.autocast import autocast_device, matmul_dtype
from s2s.models.cells import CellStep, GruStep


def recurrence(kind: type[CellStep], inputs: Tensor, start: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Run R recurrences of a cell over T steps, with matrix products in autocast's dtype.

    Input gates [T, R, B, G × H], start [R, B, P × H], recurrent weight [R, H, G × H] and bias [R, 1, G × H] -> states
    [T, R, B, P × H].
    """
    weight = weight.to(matmul_dtype(inputs))
    with torch.autocast(autocast_device(inputs), enabled=False):
        return _Recurrence.apply(kind, inputs, start, weight, bias)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kind: type[CellStep], inputs: Tensor, start: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return states [T, R, B, P × H]."""
        T, R, B, _ = inputs.shape
        H = weight.shape[1]
        states = inputs.new_empty(T + 1, R, B, kind.parts * H)
        states[0] = start
        ctx.saved_steps = []
        for t in range(T):
            recurrent_gates = torch.bmm(states[t, ..., :H].to(weight.dtype), weight).to(inputs.dtype).add_(bias)
            states[t + 1], saved = kind.forward(inputs[t], recurrent_gates, states[t])
            ctx.saved_steps.append(saved)
        ctx.kind = kind
        ctx.save_for_backward(states, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of inputs, start, weight and bias."""
        states, weight = ctx.saved_tensors
        kind, H = ctx.kind, weight.shape[1]
        grad_inputs = states.new_empty(*grad_states.shape[:3], kind.gates * H)
        grad_recurrent = grad_inputs if kind.shared else torch.empty_like(grad_inputs)
        grad = torch.zeros_like(states[0])
        for t in reversed(range(len(grad_states))):
            grad = grad + grad_states[t]
            direct = kind.backward(grad, ctx.saved_steps[t], states[t], grad_inputs[t], grad_recurrent[t])
            direct[..., :H] += torch.bmm(grad_recurrent[t].to(weight.dtype), weight.transpose(1, 2)).to(grad.dtype)
            grad = direct
        grad_weight = _over_time(states[:-1, ..., :H], grad_recurrent, weight.dtype)
        return None, grad_inputs, grad, grad_weight, grad_recurrent.sum((0, 2)).unsqueeze(1)


def _over_time(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """Return Σ leftᵀ right over steps and sentences: [T, R, B, H], [T, R, B, G × H] -> [R, H, G × H]."""
    return torch.stack(
        [
            torch.mm(left[:, r].flatten(0, 1).to(dtype).t(), right[:, r].flatten(0, 1).to(dtype))
            for r in range(left.shape[1])
        ]
    )


class AttentionGru(torch.autograd.Function):
    """A GRU that attends before every step with its previous state (Bahdanau et al. 2015, equations 4–8 and A.1.2).

    e_{t,i} = v · tanh(W s_{t-1} + k_i), a_t = softmax(e_t), c_t = Σ_i a_{t,i} h_i, s_t = GRU(x_t + C c_t, s_{t-1})

    `AttentionGru.apply(inputs, start, keys, memory, mask, context_proj, recurrent_proj, bias, v)`: input gates
    [T, B, 3H], start [B, H], keys [B, S, A], memory [B, S, D], mask [B, S] bool, context_proj C [D, 3H], recurrent_proj
    [H, A + 3H] (W and the recurrent weight side by side), bias [A + 3H], v [A]. Returns states [T, B, H], contexts
    [T, B, D] and attention [T, B, S]. Matrix products are computed in the dtype of `recurrent_proj`. The
    backward pass recomputes the tanh values [B, S, A] of each step instead of storing them.

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
        """Return states [T, B, H], contexts [T, B, D] and attention [T, B, S]."""
        T, B, _ = inputs.shape
        H, A = start.shape[1], v.shape[0]
        states, contexts = inputs.new_empty(T + 1, B, H), inputs.new_empty(T, B, memory.shape[2])
        ctx.saved_steps = []
        queries, attention = inputs.new_empty(T, B, A), inputs.new_empty(T, B, memory.shape[1])
        doubled, v2, padding = keys * 2, v * 2, ~mask
        sigmoids = torch.empty_like(keys)
        states[0] = start
        for t in range(T):
            projected = torch.mm(states[t].to(recurrent_proj.dtype), recurrent_proj).to(inputs.dtype).add_(bias)
            torch.mul(projected[:, :A], 2, out=queries[t])
            torch.add(doubled, queries[t].unsqueeze(1), out=sigmoids).sigmoid_()
            attention[t] = torch.matmul(sigmoids, v2).masked_fill_(padding, -torch.inf).softmax(1)
            torch.bmm(attention[t].unsqueeze(1), memory, out=contexts[t].unsqueeze(1))
            context_gates = torch.mm(contexts[t].to(context_proj.dtype), context_proj)
            states[t + 1], saved = GruStep.forward(inputs[t] + context_gates, projected[:, A:], states[t])
            ctx.saved_steps.append(saved)
        ctx.save_for_backward(states, contexts, attention, queries, doubled, memory, context_proj, recurrent_proj, v)
        ctx.set_materialize_grads(False)  # attention has a gradient only if the loss depends on it
        return states[1:], contexts, attention

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_states: Tensor | None, grad_contexts: Tensor | None, grad_attention: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of all inputs except the mask."""
        states, contexts, attention, queries, doubled, memory, context_proj, recurrent_proj, v = ctx.saved_tensors
        (T, B, _), H, A, dtype = contexts.shape, states.shape[2], v.shape[0], recurrent_proj.dtype
        grad_inputs, grad_recurrent = states.new_empty(T, B, 3 * H), states.new_empty(T, B, A + 3 * H)
        grad_contexts = torch.zeros_like(contexts) if grad_contexts is None else grad_contexts.clone()
        grad_slopes, grad_v = torch.zeros_like(doubled), torch.zeros_like(v)
        sigmoids, slope = torch.empty_like(doubled), torch.empty_like(doubled)
        grad = torch.zeros_like(states[0])
        for t in reversed(range(T)):
            grad = grad if grad_states is None else grad + grad_states[t]
            direct = GruStep.backward(grad, ctx.saved_steps[t], states[t], grad_inputs[t], grad_recurrent[t, :, A:])
            grad_contexts[t] += torch.mm(grad_inputs[t].to(dtype), context_proj.t())
            grad_weights = torch.bmm(memory, grad_contexts[t].unsqueeze(2)).squeeze(2)
            if grad_attention is not None:
                grad_weights += grad_attention[t]
            grad_scores = torch._softmax_backward_data(grad_weights, attention[t], 1, grad_weights.dtype)
            torch.add(doubled, queries[t].unsqueeze(1), out=sigmoids).sigmoid_()
            torch.addcmul(sigmoids, sigmoids, sigmoids, value=-1, out=slope)  # σ(1 − σ) = tanh′ / 4
            grad_slopes.addcmul_(grad_scores.unsqueeze(2), slope)
            grad_v += torch.mv(sigmoids.view(-1, A).t(), grad_scores.view(-1))
            torch.mul(torch.bmm(grad_scores.unsqueeze(1), slope).squeeze(1), 4 * v, out=grad_recurrent[t, :, :A])
            grad = torch.mm(grad_recurrent[t].to(dtype), recurrent_proj.t()).to(direct.dtype).add_(direct)
        grad_memory = torch.bmm(attention.permute(1, 2, 0), grad_contexts.transpose(0, 1))
        grad_context_proj = torch.mm(contexts.flatten(0, 1).to(dtype).t(), grad_inputs.flatten(0, 1).to(dtype))
        grad_recurrent_proj = torch.mm(states[:-1].flatten(0, 1).to(dtype).t(), grad_recurrent.flatten(0, 1).to(dtype))
        grad_keys = grad_slopes.mul_(4 * v)
        grad_bias = grad_recurrent.sum((0, 1))
        return (
            grad_inputs,
            grad,
            grad_keys,
            grad_memory,
            None,
            grad_context_proj,
            grad_recurrent_proj,
            grad_bias,
            2 * grad_v,
        )
