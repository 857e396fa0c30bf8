"""Output projection and loss together, in chunks: the logits of a whole batch never exist at once.

N target positions (padding left out), D width of the hidden vectors, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 1024  # rows of logits at a time: about what a processor's cache holds of them


class ProjectedLoss(torch.autograd.Function):
    """Σ cross-entropy with label smoothing of softmax(hidden Wᵀ + b), and Σ negative log-likelihood.

    `ProjectedLoss.apply(hidden, weight, bias, labels, smoothing)`: hidden [N, D], weight [V, D], bias [V], labels [N]
    -> loss (scalar) and nll (scalar, no gradient), in nats. The target distribution is (1 − ε) at the label plus ε / V
    everywhere (Szegedy et al. 2016, section 7). The gradients are computed with the loss, chunk by chunk, while the
    logits are there. Matrix products are computed in the dtype of `hidden`.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Loss and nll, scalars, of hidden vectors [N, D]."""
        learns = hidden.requires_grad or weight.requires_grad
        loss = torch.zeros((), device=hidden.device)
        nll = torch.zeros((), device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if learns else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if learns else None
        grad_bias = torch.zeros_like(bias) if learns else None
        projection, uniform = weight.to(hidden.dtype), weight.float().mean(0)
        for start in range(0, len(labels), CHUNK):
            rows, gold = hidden[start : start + CHUNK], labels[start : start + CHUNK].unsqueeze(1)
            logits = torch.addmm(bias.to(rows.dtype), rows, projection.t()).float()
            highest, index = logits.max(1, keepdim=True)
            probabilities = logits.softmax(1)
            normaliser = highest - probabilities.gather(1, index).log()  # logsumexp, without another pass over [N, V]
            chunk_nll = (normaliser - logits.gather(1, gold)).sum()
            nll += chunk_nll
            mean_logits = rows.float() @ uniform + bias.float().mean()
            loss += (1 - smoothing) * chunk_nll + smoothing * (normaliser.squeeze(1) - mean_logits).sum()
            if grad_hidden is None or grad_weight is None or grad_bias is None:
                continue
            slope = probabilities.sub_(smoothing / logits.shape[1])
            slope.scatter_add_(1, gold, slope.new_full(gold.shape, smoothing - 1))
            grad_bias += slope.sum(0)
            slope = slope.to(rows.dtype)
            torch.mm(slope, projection, out=grad_hidden[start : start + CHUNK])
            grad_weight += torch.mm(slope.t(), rows)
        if learns:
            ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of hidden, weight and bias."""
        hidden, weight, bias = ctx.saved_tensors
        return hidden * grad.to(hidden.dtype), weight * grad, bias * grad, None, None
