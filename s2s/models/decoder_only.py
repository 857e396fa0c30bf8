"""Decoder-only Transformer: one stack of blocks reads the source and goes on with the target (Radford et al. 2019).

The sequence is the source with its EOS, then BOS and the target; target positions count on from the source's length.
The source is read once, as a prefix whose keys and values the target attends to. What a source position sees: all of
the source, which makes the network a prefix language model (Raffel et al. 2020, section 3.2.1), or what precedes it.

The hidden size equals the embedding size: H = E. d: size of one head, H / N; P: target positions up to the present one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn

from s2s.models.autocast import matmul_dtype
from s2s.models.blocks import Block, FeedForward, SelfAttention
from s2s.models.interface import Decoder, DecoderOutput, Memory, Source, TokenInput
from s2s.models.network import Network
from s2s.models.transformer import (
    PositionalEncoding,
    TransformerState,
    attention_mask,
    encode_positions,
    final_norm,
    suited_mask,
)
from s2s.recipe.sides import BlockOptions, TransformerDecoderOptions

KeysValues = tuple[Tensor, Tensor]  # keys and values, each [B, N, S, d]


@dataclass(frozen=True, slots=True)
class Prefix(Memory):
    """The source as the target attends to it. `states` are those that the last block reads; the summary has M = 0."""

    keys_values: tuple[KeysValues, ...] = field(kw_only=True)  # of each layer


@dataclass(frozen=True, slots=True)
class DecoderOnlyState(TransformerState):
    """Decoding state: `memory` is the prefix; the cache has two tensors per layer, each [B, K, N, max_steps, d].

    `added` and `rotary` have rows for S + max_steps positions.
    """

    lengths: Tensor = field(kw_only=True)  # [B], position of the first target token

    def select(self, rows: Tensor | None, beams: Tensor) -> "DecoderOnlyState":
        """Select sentences `rows` [B'], or all if None, and, of each, the hypotheses `beams` [B', K']."""
        selected = cast(DecoderOnlyState, TransformerState.select(self, rows, beams))
        return selected if rows is None else replace(selected, lengths=self.lengths.index_select(0, rows))

    def _reorder(self, cache: Tensor, order: Tensor) -> Tensor:
        """Reorder a cache [B, K, N, max_steps, d] by `order` [B' × K'], copying only positions already written."""
        new = cache.new_empty(len(order), *cache.shape[2:])
        written = slice(self.written)
        torch.index_select(cache.flatten(0, 1)[:, :, written], 0, order, out=new[:, :, written])
        return new


class PrefixAttention(SelfAttention):
    """Self-attention of positions that follow a prefix, to the prefix and among themselves."""

    def keys_values(self, x: Tensor, rotary: Tensor | None) -> KeysValues:
        """Return keys and values [B, N, S, d] of positions x [B, S, H]; `rotary` [2, S, d / 2]."""
        _, keys, values = self._project(x, rotary)
        return keys.transpose(1, 2), values.transpose(1, 2)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        rotary: Tensor | None,
        mask: Tensor | None,
        prefix: KeysValues | None = None,
        *,
        causal: bool = False,
        need_attention: bool = False,
    ) -> tuple[Tensor, KeysValues, Tensor | None]:
        """Run the layer: x [B, T, H] -> [B, T, H], its keys and values [B, N, T, d], and attention if requested.

        Without a prefix: `rotary` [2, T, d / 2], `mask` [B, 1, 1, T]. After S positions with keys and values `prefix`
        [B, N, S, d]: `rotary` [2, B, T, d / 2], `mask` [B, 1, T, S + T], attention [B, N, T, S + T].
        """
        query, keys, values = (part.transpose(1, 2) for part in self._project(x, rotary))
        seen = (keys, values)
        if prefix is not None:
            seen = torch.cat((prefix[0], keys), dim=2), torch.cat((prefix[1], values), dim=2)
        branch, attention = self.attention(query, *seen, mask, causal=causal, need_attention=need_attention)
        return self.residual_out(x, branch), (keys, values), attention

    def step(  # type: ignore[override]
        self,
        x: Tensor,
        rotary: Tensor | None,
        cache: Sequence[Tensor],
        position: int,
        prefix: KeysValues,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Run the layer at one position: x [B, K, H] -> [B, K, H], and attention [B, N, K, S + P].

        `rotary` [2, B, 1, d / 2], `prefix` [B, N, S, d], shared by a sentence's hypotheses, `mask` [B, 1, 1, S].
        `cache`: keys and values of the target so far, each [B, K, N, max_steps, d]; those of `position` are written to
        it.
        """
        query, key, value = self._project(x, rotary)
        B, K, N, d = query.shape
        cache[0][:, :, :, position], cache[1][:, :, :, position] = key, value
        own_keys, own_values = (part.flatten(0, 2)[:, : position + 1] for part in cache)
        query = query * d**-0.5
        to_prefix = query.transpose(1, 2) @ prefix[0].transpose(2, 3)
        to_own = torch.bmm(query.reshape(B * K * N, 1, d), own_keys.transpose(1, 2)).view(B, K, N, -1)
        if mask is not None:
            to_prefix = to_prefix.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else to_prefix + mask
        attention = torch.cat((to_prefix, to_own.transpose(1, 2)), dim=3).softmax(3)
        on_prefix, on_own = self.attention_dropout(attention).split((to_prefix.shape[3], position + 1), dim=3)
        weights = on_own.transpose(1, 2).reshape(B * K * N, 1, -1).to(own_values.dtype)
        from_own = torch.bmm(weights, own_values).view(B, K, N, d)
        heads = from_own + (on_prefix.to(prefix[1].dtype) @ prefix[1]).transpose(1, 2)
        return self.residual_out(x, self.out_proj(heads.flatten(2))), attention


class DecoderOnlyBlock(Block):
    """Self-attention and feed-forward, of a prefix or of what follows it."""

    also_computes = ("keys_values",)

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.attention = PrefixAttention(hidden_size, options, dropout)
        self.feed_forward = FeedForward(hidden_size, options, dropout)

    def forward(
        self,
        x: Tensor,
        rotary: Tensor | None,
        mask: Tensor | None,
        prefix: KeysValues | None = None,
        *,
        causal: bool = False,
        need_attention: bool = False,
    ) -> tuple[Tensor, KeysValues, Tensor | None]:
        """Run the block: x [B, T, H] -> [B, T, H], its keys and values [B, N, T, d], and attention if requested.

        Without a prefix: `rotary` [2, T, d / 2], `mask` [B, 1, 1, T]. After S positions with keys and values `prefix`
        [B, N, S, d]: `rotary` [2, B, T, d / 2], `mask` [B, 1, T, S + T], attention [B, N, T, S + T].
        """
        x, keys_values, attention = self.attention(
            x, rotary, mask, prefix, causal=causal, need_attention=need_attention
        )
        return self.feed_forward(x), keys_values, attention

    def keys_values(self, x: Tensor, rotary: Tensor | None) -> KeysValues:
        """Return the keys and values [B, N, S, d] of a prefix x [B, S, H], without running the block.

        `rotary` [2, S, d / 2].
        """
        return self.attention.keys_values(x, rotary)

    def step(
        self,
        x: Tensor,
        rotary: Tensor | None,
        cache: Sequence[Tensor],
        position: int,
        prefix: KeysValues,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Run the block at one position: x [B, K, H] -> [B, K, H], and attention [B, N, K, S + P].

        `rotary` [2, B, 1, d / 2], `cache` [B, K, N, max_steps, d], `prefix` [B, N, S, d], `mask` [B, 1, 1, S].
        """
        x, attention = self.attention.step(x, rotary, cache, position, prefix, mask)
        return self.feed_forward(x), attention


class PrefixDecoder(Decoder):
    """A stack of blocks. The attention returned is that of `attention_layer` to the source, averaged over heads.

    What falls on the source is divided by its sum, so that the rows of [B, T, S] sum to 1; what falls on the target is
    not shown.
    """

    def __init__(
        self,
        options: TransformerDecoderOptions,
        embedding: nn.Embedding,
        dropout: float,
        *,
        causal: bool,
    ) -> None:
        """Build the stack; `causal`: whether source positions see only what precedes them."""
        super().__init__()
        self.hidden_size = H = embedding.embedding_dim
        self.causal = causal
        self.embedding = embedding
        self.positional_encoding = PositionalEncoding(options, H, dropout)
        self.blocks = nn.ModuleList(DecoderOnlyBlock(H, options, dropout) for _ in range(options.layers))
        self.norm = final_norm(options, H)
        # Options count layers from 1, or from -1 at the top.
        self.attention_layer = range(options.layers)[options.attention_layer - (options.attention_layer > 0)]

    def read(self, source: Source) -> Prefix:
        """Read B sources [B, S] of at least one token each. Of the last block, only keys and values are needed."""
        assert isinstance(source, TokenInput)
        ids, lengths = source.ids, source.lengths
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        x, rotary = encode_positions(self.positional_encoding, self.embedding(ids))
        padding = None if self.causal else attention_mask(mask, matmul_dtype(x))  # real positions precede padding
        *blocks, last = self._blocks()
        keys_values = []
        for block in blocks:
            x, read, _ = block(x, rotary, padding, causal=self.causal)
            keys_values.append(read)
        keys_values.append(last.keys_values(x, rotary))
        return Prefix(x, mask, summary=x.new_empty(len(x), 0), keys_values=tuple(keys_values))

    def forward(self, memory: Prefix, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:  # type: ignore[override]
        """Run teacher forcing: inputs [B, T] -> hidden [B, T, H], and attention [B, T, S] if requested."""
        S, T = memory.mask.shape[1], inputs.shape[1]
        embedded = self.embedding(inputs)
        positions = memory.mask.sum(1, keepdim=True) + torch.arange(T, device=inputs.device)
        encoding = self.positional_encoding.positions
        added, rotary = _rows(encoding.added(S + T, embedded), encoding.rotary(S + T, embedded), positions)
        x = self.positional_encoding(embedded, added)
        mask = _following_mask(memory.mask, T, matmul_dtype(x))
        returned = None
        for index, (block, prefix) in enumerate(zip(self._blocks(), memory.keys_values, strict=True)):
            needed = need_attention and index == self.attention_layer
            x, _, attention = block(x, rotary, mask, prefix, need_attention=needed)
            if attention is not None:
                returned = _on_source(attention, S)
        hidden = self.norm(x)
        return DecoderOutput(hidden.to(matmul_dtype(hidden)), returned)

    @torch.no_grad()
    def start(self, memory: Prefix, *, max_steps: int) -> DecoderOnlyState:  # type: ignore[override]
        """Return the state before the first step, K = 1, with caches for `max_steps` steps. No gradients are kept."""
        keys_values = tuple((keys.contiguous(), values.contiguous()) for keys, values in memory.keys_values)
        keys, _ = keys_values[0]
        B, N, S, d = keys.shape
        positions = self.positional_encoding.positions
        return DecoderOnlyState(
            memory=keys_values,
            mask=attention_mask(memory.mask, keys.dtype),
            cache=tuple(keys.new_empty(B, 1, N, max_steps, d) for _ in range(2 * len(keys_values))),
            added=positions.added(S + max_steps, self.embedding.weight),
            rotary=positions.rotary(S + max_steps, self.embedding.weight),
            lengths=memory.mask.sum(1),
        )

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, inputs: Tensor, state: DecoderOnlyState, *, need_attention: bool = False
    ) -> tuple[DecoderOutput, DecoderOnlyState]:
        """Run one step: inputs [B, K] -> hidden [B, K, H], attention [B, K, S] if requested, and the next state.

        The next state shares the caches of `state`.
        """
        added, rotary = _rows(state.added, state.rotary, state.lengths.unsqueeze(1) + state.written)
        x, returned = self.positional_encoding(self.embedding(inputs), added), None
        for index, block in enumerate(self._blocks()):
            cache, prefix = state.cache[2 * index : 2 * index + 2], state.memory[index]
            x, attention = block.step(x, rotary, cache, state.written, prefix, state.mask)
            if need_attention and index == self.attention_layer:
                returned = _on_source(attention, prefix[0].shape[2])
        hidden = self.norm(x)
        return DecoderOutput(hidden.to(matmul_dtype(hidden)), returned), replace(state, written=state.written + 1)

    def _blocks(self) -> Iterator[DecoderOnlyBlock]:
        return cast("Iterator[DecoderOnlyBlock]", iter(self.blocks))


def _rows(added: Tensor | None, rotary: Tensor | None, positions: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return what is added [B, T, H] and the rotations [2, B, T, d / 2] at positions [B, T], from those of all."""
    return (
        None if added is None else nn.functional.embedding(positions, added),
        None if rotary is None else rotary[:, positions],
    )


def _following_mask(mask: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Return what T = `count` positions see after a prefix with mask [B, S]: [B, 1, T, S + T]."""
    B, T = len(mask), count
    own = torch.ones(T, T, dtype=torch.bool, device=mask.device).tril()
    seen = torch.cat((mask.unsqueeze(1).expand(-1, T, -1), own.expand(B, -1, -1)), dim=2)
    return suited_mask(seen.unsqueeze(1), dtype)


def _on_source(attention: Tensor, count: int) -> Tensor:
    """Return attention [B, T, S] to the S = `count` positions of the prefix; `attention` [B, N, T, S + T]."""
    on_source = attention[..., :count].float().mean(1)
    return on_source / on_source.sum(2, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


class DecoderOnly(Network):
    """A decoder that also reads the source, and a projection to the vocabulary."""

    decoder: PrefixDecoder

    def __init__(self, decoder: PrefixDecoder, weight: Tensor, *, bias: bool = True) -> None:
        """Build the network; `weight` [V, H] as in `Network`."""
        super().__init__(weight, bias=bias)
        self.decoder = decoder

    def encode(self, source: Source) -> Prefix:
        """Return B sources as the target attends to them."""
        return self.decoder.read(source)
