"""Compute output projection and loss together, in chunks, without storing the logits of a whole batch.

R: target positions without padding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 1024  # rows of logits computed at a time; about as many as fit in a CPU's cache


class ProjectedLoss(torch.autograd.Function):
    """Σ cross-entropy with label smoothing of softmax(hidden Wᵀ + b), and Σ negative log-likelihood.

    `ProjectedLoss.apply(hidden, weight, bias, labels, smoothing, needs_grad)`: hidden [R, H], weight [V, H], bias [V],
    labels [R] -> loss (scalar) and nll (scalar, no gradient), in nats. The target distribution is (1 − ε) at the label
    plus ε / V everywhere (Szegedy et al. 2016, section 7). With `needs_grad`, gradients are computed together with the
    loss, chunk by chunk, from the same logits; the caller decides, because gradients are always disabled inside
    `forward`. Matrix products are computed in the dtype of `hidden`.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, smoothing: float, needs_grad: bool
    ) -> tuple[Tensor, Tensor]:
        """Return loss and nll (scalars) of hidden vectors [R, H]."""
        loss = torch.zeros((), device=hidden.device)
        nll = torch.zeros((), device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if needs_grad else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_grad else None
        grad_bias = torch.zeros_like(bias) if needs_grad else None
        projection, uniform = weight.to(hidden.dtype), weight.float().mean(0)
        for start in range(0, len(labels), CHUNK):
            rows, gold = hidden[start : start + CHUNK], labels[start : start + CHUNK].unsqueeze(1)
            logits = torch.addmm(bias.to(rows.dtype), rows, projection.t()).float()
            highest, index = logits.max(1, keepdim=True)
            probabilities = logits.softmax(1)
            normalizer = highest - probabilities.gather(1, index).log()  # logsumexp, without another pass over [R, V]
            chunk_nll = (normalizer - logits.gather(1, gold)).sum()
            nll += chunk_nll
            mean_logits = rows.float() @ uniform + bias.float().mean()
            loss += (1 - smoothing) * chunk_nll + smoothing * (normalizer.squeeze(1) - mean_logits).sum()
            if grad_hidden is None or grad_weight is None or grad_bias is None:
                continue
            slope = probabilities.sub_(smoothing / logits.shape[1])
            slope.scatter_add_(1, gold, slope.new_full(gold.shape, smoothing - 1))
            grad_bias += slope.sum(0)
            slope = slope.to(rows.dtype)
            torch.mm(slope, projection, out=grad_hidden[start : start + CHUNK])
            grad_weight += torch.mm(slope.t(), rows)
        if needs_grad:
            ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of hidden [R, H], weight [V, H] and bias [V]."""
        hidden, weight, bias = ctx.saved_tensors
        return hidden * grad.to(hidden.dtype), weight * grad, bias * grad, None, None, None
