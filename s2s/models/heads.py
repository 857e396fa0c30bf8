"""Compute output projection and loss together, in chunks, without storing the logits of a whole batch.

R: target positions without padding. P: passes of the same batch through the network, 2 with R-Drop, else 1.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from s2s.devices.runtime import tuning


class ProjectedLoss(torch.autograd.Function):
    """Σ cross-entropy with label smoothing of softmax(hidden Wᵀ + b), and Σ negative log-likelihood.

    `ProjectedLoss.apply(hidden, weight, bias, labels, smoothing, r_drop, needs_grad)`: hidden [P × R, H], weight
    [V, H], bias [V], labels [R] -> loss (scalar) and nll (scalar, no gradient), in nats, means over the passes. The
    target distribution is (1 − ε) at the label plus ε / V everywhere (Szegedy et al. 2016, section 7). With `r_drop` =
    α > 0, rows i and R + i of `hidden` are two passes with different dropout masks, and α·½(KL(p‖q) + KL(q‖p)) of their
    distributions is added to the sum of their cross-entropies (Liang et al. 2021, equation 3). With `needs_grad`,
    gradients are computed together with the loss, chunk by chunk, from the same logits; the caller decides, because
    gradients are always disabled inside `forward`. Matrix products are computed in the dtype of `hidden`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        labels: Tensor,
        smoothing: float,
        r_drop: float,
        needs_grad: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return loss and nll (scalars) of hidden vectors [P × R, H]."""
        P = 2 if r_drop else 1
        step = tuning(hidden.device.type).loss_rows // P
        wide = torch.promote_types(hidden.dtype, torch.float32)
        passes = hidden.unflatten(0, (P, -1))
        loss = torch.zeros((), dtype=wide, device=hidden.device)
        nll = torch.zeros_like(loss)
        grad_hidden = torch.empty_like(passes) if needs_grad else None
        grad_weight = torch.zeros_like(weight, dtype=wide) if needs_grad else None
        grad_bias = torch.zeros_like(bias) if needs_grad else None
        projection, uniform = weight.to(hidden.dtype), weight.to(wide).mean(0)
        for start in range(0, len(labels), step):
            chunk = slice(start, start + step)
            rows, gold = passes[:, chunk].flatten(0, 1), labels[chunk].repeat(P).unsqueeze(1)
            logits = torch.addmm(bias.to(rows.dtype), rows, projection.t()).to(wide)
            highest, index = logits.max(1, keepdim=True)
            probabilities = logits.softmax(1)
            normalizer = highest - probabilities.gather(1, index).log()  # logsumexp, without another pass over [R, V]
            chunk_nll = (normalizer - logits.gather(1, gold)).sum() / P
            nll += chunk_nll
            mean_logits = rows.to(wide) @ uniform + bias.to(wide).mean()
            loss += (1 - smoothing) * chunk_nll + smoothing * (normalizer.squeeze(1) - mean_logits).sum() / P
            divergence_slope = None
            if r_drop:
                divergence, divergence_slope = _divergence(logits.sub_(normalizer), probabilities, needs_grad)
                loss += r_drop * divergence / P
            if grad_hidden is None or grad_weight is None or grad_bias is None:
                continue
            slope = probabilities.sub_(smoothing / logits.shape[1])
            slope.scatter_add_(1, gold, slope.new_full(gold.shape, smoothing - 1))
            if divergence_slope is not None:
                slope = slope.add_(divergence_slope, alpha=r_drop).div_(P)
            grad_bias += slope.sum(0)
            slope = slope.to(rows.dtype)
            grad_hidden[:, chunk] = torch.mm(slope, projection).unflatten(0, (P, -1))
            grad_weight += torch.mm(slope.t(), rows)
            del logits, probabilities, slope  # before the next chunk needs as much
        if grad_hidden is not None:
            ctx.save_for_backward(grad_hidden.flatten(0, 1), grad_weight, grad_bias)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of hidden [P × R, H], weight [V, H] and bias [V]."""
        hidden, weight, bias = ctx.saved_tensors
        return hidden * grad.to(hidden.dtype), weight * grad, bias * grad, None, None, None, None


def _divergence(log_probabilities: Tensor, probabilities: Tensor, needs_grad: bool) -> tuple[Tensor, Tensor | None]:
    """Return Σ ½(KL(p‖q) + KL(q‖p)) of two passes, given as rows [2R, V], and its gradient by the logits [2R, V].

    The gradient of KL(p‖q) by the logits of p is p (log(p / q) − KL(p‖q)), that of KL(q‖p) is p − q.
    """
    p, q = probabilities.chunk(2)
    ratio = torch.sub(*log_probabilities.chunk(2))  # log(p / q)
    p_ratio, q_ratio = p * ratio, q * ratio
    forward, backward = p_ratio.sum(1, keepdim=True), -q_ratio.sum(1, keepdim=True)
    divergence = (forward.sum() + backward.sum()) / 2
    if not needs_grad:
        return divergence, None
    difference = p - q
    by_p = p_ratio.sub_(p * forward).add_(difference)
    by_q = q_ratio.add_(q * backward).add_(difference).neg_()
    return divergence, torch.cat((by_p, by_q)).div_(2)
