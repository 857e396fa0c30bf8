"""Transformer encoder and decoder (Vaswani et al. 2017).

The hidden size equals the embedding size: H = E. d: size of one head, H / N; L: layers.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from s2s.devices.runtime import tuning
from s2s.models.autocast import matmul_dtype
from s2s.models.blocks import NORMS, Block, CrossAttention, FeedForward, SelfAttention
from s2s.models.dropout import Dropout
from s2s.models.interface import Decoder, DecoderOutput, Encoder, Memory, MemorySpec, Source, TokenInput
from s2s.models.positions import LearnedPositions, Positions, RotaryPositions, SinusoidalPositions
from s2s.recipe.sides import BlockOptions, TransformerDecoderOptions, TransformerEncoderOptions


class PositionalEncoding(nn.Module):
    """Input of the first block: √H · embedding + position, with dropout (Vaswani et al. 2017, sections 3.4, 3.5)."""

    def __init__(self, options: BlockOptions, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.positions = _positions(options, hidden_size)
        self.dropout = Dropout(dropout)

    def forward(self, embedded: Tensor, added: Tensor | None) -> Tensor:
        """Scale embeddings [B, T, H] and add rows [T, H]; in a step, [B, K, H] and [1, H]."""
        scale = embedded.shape[-1] ** 0.5
        return self.dropout(embedded * scale if added is None else torch.add(added, embedded, alpha=scale))


def _positions(options: BlockOptions, hidden_size: int) -> Positions:
    if options.positions == "learned":
        return LearnedPositions(options.max_positions, hidden_size)
    if options.positions == "sinusoidal":
        return SinusoidalPositions(hidden_size)
    return RotaryPositions(hidden_size // options.heads)


def encode_positions(encoding: PositionalEncoding, embedded: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the first block's input [B, T, H] and the rotations [2, T, d / 2] for embeddings [B, T, H]."""
    T = embedded.shape[1]
    return encoding(embedded, encoding.positions.added(T, embedded)), encoding.positions.rotary(T, embedded)


def final_norm(options: BlockOptions, hidden_size: int) -> nn.Module:
    """Return the norm after the last block: pre-norm blocks need one, post-norm blocks end with their own."""
    return NORMS[options.norm_kind](hidden_size) if options.norm == "pre" else nn.Identity()


def attention_mask(mask: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Return a mask [B, S] as [B, 1, 1, S]: of bools, or of 0 and −∞ in `dtype`, as suits the device.

    None on a CPU if nothing is padded, which is faster.
    """
    if mask.device.type == "cpu" and bool(mask.all()):
        return None
    return suited_mask(mask[:, None, None], dtype)


def suited_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask of bools [B, 1, ..., S] as suits the device: unchanged, or of 0 and −∞ in `dtype`."""
    if not tuning(mask.device.type).additive_masks:
        return mask
    return _aligned(torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf))


def _aligned(mask: Tensor) -> Tensor:
    """Copy an additive mask [B, 1, ..., S] to rows of a multiple of 16 elements; fused attention copies others."""
    S = mask.shape[-1]
    return mask.new_zeros(*mask.shape[:-1], S + -S % 16)[..., :S].copy_(mask)


class NeighbourConvolution(nn.Module):
    """x + conv(x): mix each embedding with its neighbours by a depthwise convolution over positions.

    An attention score compares single positions; after this, a position also knows which tokens are beside it.
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(hidden_size, hidden_size, width, padding=width // 2, groups=hidden_size, bias=False)

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Mix embeddings [B, S, H]; padding, where the mask [B, S] is False, counts as zero."""
        known = (embedded * mask.unsqueeze(2)).transpose(1, 2)
        return embedded + self.conv(known).transpose(1, 2)


class EncoderBlock(Block):
    """Self-attention and feed-forward."""

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(hidden_size, options, dropout)
        self.feed_forward = FeedForward(hidden_size, options, dropout)

    def forward(self, x: Tensor, rotary: Tensor | None, mask: Tensor | None) -> Tensor:
        """Run the block: x [B, S, H] -> [B, S, H]. `rotary` [2, S, d / 2], `mask` [B, 1, 1, S]."""
        return self.feed_forward(self.attention(x, rotary, mask))


class TransformerEncoder(Encoder):
    """A stack of encoder blocks; the summary is the mean of the states at real positions, so M = D = H."""

    def __init__(self, options: TransformerEncoderOptions, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        H = embedding.embedding_dim
        self.spec = MemorySpec(states=H, summary=H)
        self.embedding = embedding
        self.convolution = NeighbourConvolution(H, options.convolution) if options.convolution else None
        self.positional_encoding = PositionalEncoding(options, H, dropout)
        self.blocks = nn.ModuleList(EncoderBlock(H, options, dropout) for _ in range(options.layers))
        self.norm = final_norm(options, H)

    def forward(self, source: Source) -> Memory:
        """Encode B sentences of at least one token each: ids [B, S] -> states [B, S, D], summary [B, M]."""
        assert isinstance(source, TokenInput)
        ids, lengths = source.ids, source.lengths
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        embedded = self.embedding(ids)
        if self.convolution:
            embedded = self.convolution(embedded, mask)
        x, rotary = encode_positions(self.positional_encoding, embedded)
        padding = attention_mask(mask, matmul_dtype(x))
        for block in self.blocks:
            x = block(x, rotary, padding)
        states = self.norm(x)
        summary = (states * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)
        return Memory(states=states, mask=mask, summary=summary)


@dataclass(frozen=True, slots=True)
class TransformerState:
    """Decoding state of a Transformer decoder."""

    memory: tuple[tuple[Tensor, Tensor], ...]  # per layer: keys and values of the memory, each [B, N, S, d]
    mask: Tensor | None  # [B, 1, 1, S], True or, if additive, 0 at real positions; None if nothing is padded
    cache: tuple[Tensor, ...]  # per layer: keys and values of the target so far, [B, K, max_steps, 2, N, d]
    added: Tensor | None  # [max_steps, H], rows to add to the embeddings
    rotary: Tensor | None  # [2, max_steps, d / 2], rotations of queries and keys
    written: int = 0  # positions in the cache

    def select(self, rows: Tensor | None, beams: Tensor) -> "TransformerState":
        """Select sentences `rows` [B'], or all if None, and, of each, the hypotheses `beams` [B', K']."""
        K = self.cache[0].shape[1]
        selected = self
        if rows is None and K == beams.shape[1] == 1:
            return self
        if rows is None:
            rows = torch.arange(len(beams), device=beams.device)
        else:
            memory = tuple((keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.memory)
            mask = None if self.mask is None else self.mask.index_select(0, rows)
            mask = _aligned(mask) if mask is not None and mask.is_floating_point() else mask
            selected = replace(selected, memory=memory, mask=mask)
        order = (rows.unsqueeze(1) * K + beams).flatten()
        cache = tuple(self._reorder(part, order).unflatten(0, beams.shape) for part in self.cache)
        return replace(selected, cache=cache)

    def _reorder(self, cache: Tensor, order: Tensor) -> Tensor:
        """Reorder a cache [B, K, max_steps, ...] by `order` [B' × K'], copying only positions already written."""
        new = cache.new_empty(len(order), *cache.shape[2:])
        torch.index_select(cache.flatten(0, 1)[:, : self.written], 0, order, out=new[:, : self.written])
        return new


class DecoderBlock(Block):
    """Causal self-attention, attention to the memory, and feed-forward."""

    def __init__(self, hidden_size: int, memory_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.self_attention = SelfAttention(hidden_size, options, dropout)
        self.cross_attention = CrossAttention(hidden_size, memory_size, options, dropout)
        self.feed_forward = FeedForward(hidden_size, options, dropout)

    def forward(
        self, x: Tensor, rotary: Tensor | None, states: Tensor, mask: Tensor | None, *, need_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Run the block: x [B, T, H] -> [B, T, H], and attention [B, N, T, S] if requested.

        `rotary` [2, T, d / 2], `states` [B, S, D], `mask` [B, 1, 1, S].
        """
        x = self.self_attention(x, rotary, causal=True)
        keys, values = self.cross_attention.keys_values(states)
        x, attention = self.cross_attention(x, keys, values, mask, need_attention=need_attention)
        return self.feed_forward(x), attention

    def step(
        self,
        x: Tensor,
        rotary: Tensor | None,
        cache: Tensor,
        position: int,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
        *,
        need_attention: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Run the block at one position: x [B, K, H] -> [B, K, H], and attention [B, N, K, S] if requested.

        `rotary` [2, 1, d / 2], `cache` [B, K, max_steps, 2, N, d], `memory` keys and values [B, N, S, d], `mask`
        [B, 1, 1, S].
        """
        x = self.self_attention.step(x, rotary, cache, position)
        x, attention = self.cross_attention(x, *memory, mask, need_attention=need_attention)
        return self.feed_forward(x), attention


class TransformerDecoder(Decoder):
    """A stack of decoder blocks. The attention returned is that of `attention_layer`, averaged over heads."""

    def __init__(
        self, options: TransformerDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float
    ) -> None:
        super().__init__()
        self.hidden_size = H = embedding.embedding_dim
        self.embedding = embedding
        self.positional_encoding = PositionalEncoding(options, H, dropout)
        self.blocks = nn.ModuleList(DecoderBlock(H, memory.states, options, dropout) for _ in range(options.layers))
        self.norm = final_norm(options, H)
        # Options count layers from 1, or from -1 at the top.
        self.attention_layer = range(options.layers)[options.attention_layer - (options.attention_layer > 0)]

    def forward(self, memory: Memory, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:
        """Run teacher forcing: inputs [B, T] -> hidden [B, T, H], and attention [B, T, S] if requested."""
        hidden, attention = self._run(memory, inputs, [self.attention_layer] if need_attention else [])
        return DecoderOutput(hidden, attention[0].float().mean(1) if need_attention else None)

    def all_attention(self, memory: Memory, inputs: Tensor) -> Tensor:
        """Return the attention [B, L, N, T, S] of all layers and heads in teacher forcing, from inputs [B, T]."""
        return torch.stack(self._run(memory, inputs, range(len(self.blocks)))[1], dim=1).float()

    def _run(self, memory: Memory, inputs: Tensor, layers: Collection[int]) -> tuple[Tensor, list[Tensor]]:
        """Return hidden vectors [B, T, H] and the attention [B, N, T, S] of some layers."""
        x, rotary = encode_positions(self.positional_encoding, self.embedding(inputs))
        states = memory.states.to(matmul_dtype(memory.states))
        mask = attention_mask(memory.mask, states.dtype)
        attentions = []
        for index, block in enumerate(self._decoder_blocks()):
            x, attention = block(x, rotary, states, mask, need_attention=index in layers)
            if attention is not None:
                attentions.append(attention)
        hidden = self.norm(x)
        return hidden.to(matmul_dtype(hidden)), attentions

    def _decoder_blocks(self) -> Iterator[DecoderBlock]:
        return cast("Iterator[DecoderBlock]", iter(self.blocks))

    @torch.no_grad()
    def start(self, memory: Memory, *, max_steps: int) -> TransformerState:
        """Return the state before the first step, K = 1, with caches for `max_steps` steps. No gradients are kept."""
        states = memory.states.to(matmul_dtype(memory.states))
        keys_values = tuple(
            (keys.contiguous(), values.contiguous())
            for keys, values in (block.cross_attention.keys_values(states) for block in self._decoder_blocks())
        )
        keys, _ = keys_values[0]
        B, N, _, d = keys.shape
        return TransformerState(
            memory=keys_values,
            mask=attention_mask(memory.mask, states.dtype),
            cache=tuple(keys.new_empty(B, 1, max_steps, 2, N, d) for _ in self.blocks),
            added=self.positional_encoding.positions.added(max_steps, self.embedding.weight),
            rotary=self.positional_encoding.positions.rotary(max_steps, self.embedding.weight),
        )

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, inputs: Tensor, state: TransformerState, *, need_attention: bool = False
    ) -> tuple[DecoderOutput, TransformerState]:
        """Run one step: inputs [B, K] -> hidden [B, K, H], attention [B, K, S] if requested, and the next state.

        The next state shares the caches of `state`.
        """
        position = slice(state.written, state.written + 1)
        added = None if state.added is None else state.added[position]
        rotary = None if state.rotary is None else state.rotary[:, position]
        x, returned = self.positional_encoding(self.embedding(inputs), added), None
        for index, block in enumerate(self._decoder_blocks()):
            x, attention = block.step(
                x,
                rotary,
                state.cache[index],
                state.written,
                state.memory[index],
                state.mask,
                need_attention=need_attention and index == self.attention_layer,
            )
            if attention is not None:
                returned = attention.float().mean(1)
        hidden = self.norm(x)
        return DecoderOutput(hidden.to(matmul_dtype(hidden)), returned), replace(state, written=state.written + 1)
