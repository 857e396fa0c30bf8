"""The layers of a Transformer's block: attention in heads and feed-forward, each with its norm and residual sum.

B sentences, K hypotheses of each, T positions that ask, S positions that answer, D width, E width of a memory,
H heads, d = D / H width of a head, F units of a feed-forward layer.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s.models.dropout import Dropout
from s2s.models.positions import apply_rotary
from s2s.recipe.model import BlockOptions

NORMS: dict[str, Callable[[int], nn.Module]] = {  # of a width
    "layer": lambda width: nn.LayerNorm(width, eps=1e-5),
    "rms": lambda width: nn.RMSNorm(width, eps=1e-6),
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "swiglu": F.silu}


def xavier_linear(inputs: int, *outputs: int, bias: bool) -> nn.Linear:
    """Several projections of the same vectors as one: Xavier-uniform weights for each by itself, biases zero."""
    linear = nn.Linear(inputs, sum(outputs), bias=bias)
    for weight in linear.weight.data.split(outputs):
        nn.init.xavier_uniform_(weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


class Residual(nn.Module):
    """What a layer f adds to the stream x: x + Drop(f(Norm x)) with the norm before, Norm(x + Drop(f x)) with it after.

    Vaswani et al. 2017, section 3.1 (after); Xiong et al. 2020 (before).
    """

    def __init__(self, width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.before = options.norm == "pre"
        self.norm = NORMS[options.norm_kind](width)
        self.dropout = Dropout(dropout)

    def norm_input(self, stream: Tensor) -> Tensor:
        """Return the input of f [..., D]: the stream, normalized in pre-norm blocks."""
        return self.norm(stream) if self.before else stream

    def residual_out(self, stream: Tensor, branch: Tensor) -> Tensor:
        """Add the output of f [..., D] to the stream [..., D]."""
        summed = stream + self.dropout(branch)
        return summed if self.before else self.norm(summed)


class Attention(Residual):
    """What both attention layers share: result W of H heads, each softmax(Q Kᵀ / √d) V    Vaswani et al. 2017, 3.2."""

    def __init__(self, width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(width, options, dropout)
        self.heads = options.heads
        self.out_proj = xavier_linear(width, width, bias=options.attention_bias)
        self.attention_dropout = Dropout(options.attention_dropout)

    def in_heads(self, projected: Tensor, count: int) -> list[Tensor]:
        """Projections [B, T, count · D] as `count` views [B, T, H, d]."""
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
        """W [heads] [B, T, D] of queries [B, H, T, d] over keys and values [B, H, S, d], and the weights [B, H, T, S]
        where asked for. `mask` [B, 1, 1, S] is True at real positions; `causal` hides what follows.
        """
        dropping = self.training and self.attention_dropout.dropped > 0
        if need_attention or dropping or not _fused_is_quick(query):
            heads, attention = explicit_attention(query, keys, values, mask, self.attention_dropout, causal=causal)
        else:
            heads = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=causal)
            attention = None
        return self.out_proj(heads.transpose(1, 2).flatten(2)), attention if need_attention else None


def _fused_is_quick(query: Tensor) -> bool:
    """PyTorch's fused attention in bfloat16 on a processor: four to six times slower to train with at 16 positions."""
    return query.device.type != "cpu" or query.dtype == torch.float32


def explicit_attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: Dropout, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """Heads [B, H, T, d] and attention [B, H, T, S] (exactly 0 where the mask is False), step by step.

    Queries [B, H, T, d], keys and values [B, H, S, d], mask [B, 1, 1, S].
    """
    B, H, T, d = query.shape
    query, keys, values = (part.reshape(B * H, -1, d) for part in (query, keys, values))
    scores = torch.bmm(query * d**-0.5, keys.transpose(1, 2)).unflatten(0, (B, H))
    if causal:
        visible = torch.ones(T, T, dtype=torch.bool, device=scores.device).tril()
        mask = visible if mask is None else mask & visible
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    attention = scores.softmax(-1)
    return torch.bmm(dropout(attention).flatten(0, 1), values).unflatten(0, (B, H)), attention


class SelfAttention(Attention):
    """Attention of a sentence's positions to one another; one matrix gives queries, keys and values."""

    def __init__(self, width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(width, options, dropout)
        self.qkv_proj = xavier_linear(width, width, width, width, bias=options.attention_bias)

    def forward(
        self, stream: Tensor, rotary: Tensor | None, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """Return the stream [B, T, D] after this layer. `rotary` [2, T, d / 2], `mask` [B, 1, 1, T]."""
        query, key, value = (part.transpose(1, 2) for part in self._projected(stream, rotary))
        branch, _ = self.attention(query, key, value, mask, causal=causal)
        return self.residual_out(stream, branch)

    def step(self, stream: Tensor, rotary: Tensor | None, cache: Tensor, position: int) -> Tensor:
        """Return the stream [B, K, D] of one position after this layer. `rotary` [2, 1, d / 2].

        `cache` [B, K, steps, 2, H, d] holds keys and values of the positions before; this position's are written to it.
        """
        query, key, value = self._projected(stream.flatten(0, 1).unsqueeze(1), rotary)
        cache = cache.flatten(0, 1)
        cache[:, position, 0], cache[:, position, 1] = key[:, 0], value[:, 0]
        keys, values = cache[:, : position + 1].transpose(1, 3).unbind(2)
        branch, _ = self.attention(query.transpose(1, 2), keys, values)
        return self.residual_out(stream, branch.view_as(stream))

    def _projected(self, stream: Tensor, rotary: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [B, T, H, d], the first two turned."""
        query, key, value = self.in_heads(self.qkv_proj(self.norm_input(stream)), 3)
        if rotary is not None:
            query, key = apply_rotary(query, rotary), apply_rotary(key, rotary)
        return query, key, value


class CrossAttention(Attention):
    """Attention of a decoder's positions to a memory of width E."""

    def __init__(self, width: int, memory_width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(width, options, dropout)
        self.q_proj = xavier_linear(width, width, bias=options.attention_bias)
        self.kv_proj = xavier_linear(memory_width, width, width, bias=options.attention_bias)

    def keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, S, d] of states [B, S, E]."""
        keys, values = self.in_heads(self.kv_proj(states), 2)
        return keys.transpose(1, 2), values.transpose(1, 2)

    def forward(
        self, stream: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, need_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the stream [B, T, D] after this layer, and attention [B, H, T, S] if requested.

        Keys and values [B, H, S, d], mask [B, 1, 1, S].
        """
        (query,) = self.in_heads(self.q_proj(self.norm_input(stream)), 1)
        branch, attention = self.attention(query.transpose(1, 2), keys, values, mask, need_attention=need_attention)
        return self.residual_out(stream, branch), attention


class FeedForward(Residual):
    """W₂ f(W₁ x + b₁) + b₂ with ReLU or GELU (Vaswani et al. 2017, equation 2); W₂ (silu(W x) ⊙ V x) with SwiGLU.

    SwiGLU has no biases, as in Shazeer 2020, equation 6; W and V are one matrix [2F, D] here.
    """

    def __init__(self, width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__(width, options, dropout)
        units = options.ffn_size or 4 * width
        self.gated = options.activation == "swiglu"
        self.activation = ACTIVATIONS[options.activation]
        self.fc1 = xavier_linear(width, *[units] * (1 + self.gated), bias=not self.gated)
        self.fc2 = xavier_linear(units, width, bias=not self.gated)
        self.units_dropout = Dropout(options.activation_dropout)

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream [..., D] after this layer."""
        inner = self.fc1(self.norm_input(stream))
        if self.gated:
            gate, linear = inner.chunk(2, dim=-1)
            units = self.activation(gate) * linear
        else:
            units = self.activation(inner)
        return self.residual_out(stream, self.fc2(self.units_dropout(units)))
