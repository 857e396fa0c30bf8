"""Layers of a Transformer block: multi-head attention and feed-forward, each with its norm and residual connection.

d: size of one head, H / N; F: size of the feed-forward layer. Attention of T query positions to S key positions; in
self-attention S = T.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s.models.dropout import Dropout
from s2s.models.positions import apply_rotary
from s2s.recipe.sides import BlockOptions

NORMS: dict[str, Callable[[int], nn.Module]] = {  # built from the hidden size
    "layer": lambda hidden_size: nn.LayerNorm(hidden_size, eps=1e-5),
    "rms": lambda hidden_size: nn.RMSNorm(hidden_size, eps=1e-6),
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "swiglu": F.silu}


class Block(nn.Module):
    """Base class of the blocks of a Transformer, each of which training may shard and recompute as one."""

    also_computes: ClassVar[tuple[str, ...]] = ()  # methods besides forward that training calls


class XavierLinear(nn.Linear):
    """Several projections of the same input in one layer, each with Xavier-uniform weights; biases start at zero."""

    def __init__(self, in_features: int, *out_features: int, bias: bool) -> None:
        self.parts = out_features
        super().__init__(in_features, sum(out_features), bias=bias)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights of each projection anew."""
        for weight in self.weight.split(self.parts):
            nn.init.xavier_uniform_(weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Residual(nn.Module):
    """Residual connection of a layer f: x + dropout(f(norm(x))) in pre-norm, norm(x + dropout(f(x))) in post-norm.

    Vaswani et al. 2017, section 3.1 (post-norm); Xiong et al. 2020 (pre-norm).
    """

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.pre_norm = options.norm == "pre"
        self.norm = NORMS[options.norm_kind](hidden_size)
        self.dropout = Dropout(dropout)

    def norm_input(self, x: Tensor) -> Tensor:
        """Return the input of f [..., H]: x, normalized in pre-norm blocks."""
        return self.norm(x) if self.pre_norm else x

    def residual_out(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add f's output `branch` [..., H] to x [..., H], and normalize the sum in post-norm blocks."""
        total = x + self.dropout(branch)
        return total if self.pre_norm else self.norm(total)


class Attention(Residual):
    """Multi-head attention: W_o concat(heads), each head softmax(Q Kᵀ / √d) V (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(hidden_size, options, dropout)
        self.heads = options.heads
        self.out_proj = XavierLinear(hidden_size, hidden_size, bias=options.attention_bias)
        self.attention_dropout = Dropout(options.attention_dropout)

    def split_heads(self, projected: Tensor, count: int) -> list[Tensor]:
        """Split projections [B, T, ...] into `count` views [B, T, N, d]."""
        return [part.unflatten(-1, (self.heads, -1)) for part in projected.chunk(count, dim=-1)]

    def attention(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        need_attention: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the projected heads [B, T, H], and attention [B, N, T, S] if requested.

        Queries [B, N, T, d], keys and values [B, N, S, d], mask [B, 1, 1, S] or [B, 1, T, S], True at positions that
        are seen, or with numbers to add to the scores. With `causal`, a position does not see later ones.
        """
        dropping = self.training and self.attention_dropout.dropped > 0
        # On a CPU, PyTorch's fused attention in bf16 trains four to six times slower than the explicit one.
        slow_fused = query.device.type == "cpu" and query.dtype != torch.float32
        if need_attention or dropping or slow_fused:
            heads, attention = explicit_attention(query, keys, values, mask, self.attention_dropout, causal=causal)
        else:
            heads = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=causal)
            attention = None
        return self.out_proj(heads.transpose(1, 2).flatten(2)), attention if need_attention else None


def explicit_attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: Dropout, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """Compute attention without fused kernels: heads [B, N, T, d] and attention [B, N, T, S], 0 where masked.

    Queries [B, N, T, d], keys and values [B, N, S, d], mask [B, 1, 1, S] or [B, 1, T, S] of bools or to add to the
    scores.
    """
    B, N, T, d = query.shape
    query, keys, values = (part.reshape(B * N, -1, d) for part in (query, keys, values))
    scores = torch.bmm(query * d**-0.5, keys.transpose(1, 2)).unflatten(0, (B, N))
    if causal:
        later = torch.ones(T, T, dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    attention = scores.softmax(-1)
    return torch.bmm(dropout(attention).flatten(0, 1), values).unflatten(0, (B, N)), attention


class SelfAttention(Attention):
    """Attention among the positions of one sequence; one matrix projects queries, keys and values."""

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(hidden_size, options, dropout)
        self.qkv_proj = XavierLinear(hidden_size, *[hidden_size] * 3, bias=options.attention_bias)

    def forward(self, x: Tensor, rotary: Tensor | None, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """Run the layer: x [B, T, H] -> [B, T, H]. `rotary` [2, T, d / 2], `mask` [B, 1, 1, T]."""
        query, key, value = (part.transpose(1, 2) for part in self._project(x, rotary))
        branch, _ = self.attention(query, key, value, mask, causal=causal)
        return self.residual_out(x, branch)

    def step(self, x: Tensor, rotary: Tensor | None, cache: Tensor, position: int) -> Tensor:
        """Run the layer at one position: x [B, K, H] -> [B, K, H]. `rotary` [2, 1, d / 2].

        `cache` [B, K, max_steps, 2, N, d] holds the keys and values of earlier positions; those of `position` are
        written to it.
        """
        query, key, value = self._project(x.flatten(0, 1).unsqueeze(1), rotary)
        cache = cache.flatten(0, 1)
        cache[:, position, 0], cache[:, position, 1] = key[:, 0], value[:, 0]
        keys, values = cache[:, : position + 1].transpose(1, 3).unbind(2)
        branch, _ = self.attention(query.transpose(1, 2), keys, values)
        return self.residual_out(x, branch.view_as(x))

    def _project(self, x: Tensor, rotary: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value [B, T, N, d], the first two rotated if there are rotary positions."""
        query, key, value = self.split_heads(self.qkv_proj(self.norm_input(x)), 3)
        if rotary is not None:
            query, key = apply_rotary(query, rotary), apply_rotary(key, rotary)
        return query, key, value


class CrossAttention(Attention):
    """Attention of decoder positions to the memory's states."""

    def __init__(self, hidden_size: int, memory_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(hidden_size, options, dropout)
        self.q_proj = XavierLinear(hidden_size, hidden_size, bias=options.attention_bias)
        self.kv_proj = XavierLinear(memory_size, hidden_size, hidden_size, bias=options.attention_bias)

    def keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Project memory states [B, S, D] to keys and values [B, N, S, d]."""
        keys, values = self.split_heads(self.kv_proj(states), 2)
        return keys.transpose(1, 2), values.transpose(1, 2)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, need_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Run the layer: x [B, T, H] -> [B, T, H], and attention [B, N, T, S] if requested.

        Keys and values [B, N, S, d], mask [B, 1, 1, S].
        """
        (query,) = self.split_heads(self.q_proj(self.norm_input(x)), 1)
        branch, attention = self.attention(query.transpose(1, 2), keys, values, mask, need_attention=need_attention)
        return self.residual_out(x, branch), attention


class FeedForward(Residual):
    """W₂ f(W₁ x + b₁) + b₂ with ReLU or GELU (Vaswani et al. 2017, equation 2), or W₂ (silu(W x) ⊙ V x) with SwiGLU.

    SwiGLU has no biases (Shazeer 2020, equation 6); its W and V are stored as one matrix [2F, H].
    """

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(hidden_size, options, dropout)
        ffn_size = options.ffn_size or 4 * hidden_size
        self.gated = options.activation == "swiglu"
        self.activation = ACTIVATIONS[options.activation]
        self.fc1 = XavierLinear(hidden_size, *[ffn_size] * (1 + self.gated), bias=not self.gated)
        self.fc2 = XavierLinear(ffn_size, hidden_size, bias=not self.gated)
        self.activation_dropout = Dropout(options.activation_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer: x [..., H] -> [..., H]."""
        hidden = self.fc1(self.norm_input(x))
        if self.gated:
            gate, linear = hidden.chunk(2, dim=-1)
            hidden = self.activation(gate) * linear
        else:
            hidden = self.activation(hidden)
        return self.residual_out(x, self.fc2(self.activation_dropout(hidden)))
