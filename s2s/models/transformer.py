"""Transformer encoder and decoder (Vaswani et al. 2017), as wide as the embeddings they read.

B sentences, K hypotheses of each, S source positions, T target positions, D width, E width of the memory, L blocks,
H heads, d = D / H width of a head.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from s2s.models.autocast import matmul_dtype
from s2s.models.blocks import NORMS, CrossAttention, FeedForward, SelfAttention
from s2s.models.dropout import Dropout
from s2s.models.interface import Decoder, DecoderOutput, Encoder, Memory, MemorySpec, Source, TokenInput
from s2s.models.positions import LearnedPositions, Positions, RotaryPositions, SinusoidalPositions
from s2s.recipe.model import BlockOptions, TransformerDecoderOptions, TransformerEncoderOptions


class PositionalEncoding(nn.Module):
    """What the first block reads: √D · embedding, plus what positions add    Vaswani et al. 2017, sections 3.4, 3.5."""

    def __init__(self, options: BlockOptions, width: int, dropout: float) -> None:
        super().__init__()
        self.positions = _positions(options, width)
        self.dropout = Dropout(dropout)

    def forward(self, embedded: Tensor, added: Tensor | None) -> Tensor:
        """Embeddings [B, T, D] -> [B, T, D]. `added` [T, D], or [1, D] where all stand at one position."""
        scale = embedded.shape[-1] ** 0.5
        return self.dropout(embedded * scale if added is None else torch.add(added, embedded, alpha=scale))


def _positions(options: BlockOptions, width: int) -> Positions:
    if options.positions == "learned":
        return LearnedPositions(options.max_positions, width)
    return SinusoidalPositions(width) if options.positions == "sinusoidal" else RotaryPositions(width // options.heads)


def _entered(positional_encoding: PositionalEncoding, embedded: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the stream [B, T, D] of embeddings [B, T, D] and the rotary angles of queries and keys."""
    T = embedded.shape[1]
    return positional_encoding(
        embedded, positional_encoding.positions.added(T, embedded)
    ), positional_encoding.positions.rotary(T, embedded)


def _final_norm(options: BlockOptions, width: int) -> nn.Module:
    """One norm behind the last block where blocks normalise before their layers; else nothing."""
    return NORMS[options.norm_kind](width) if options.norm == "pre" else nn.Identity()


def _for_scores(mask: Tensor) -> Tensor | None:
    """Return a mask [B, S] as [B, 1, 1, S]; None on a CPU if nothing is padded."""
    return None if mask.device.type == "cpu" and bool(mask.all()) else mask[:, None, None]


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, options, dropout)
        self.feed_forward = FeedForward(width, options, dropout)

    def forward(self, stream: Tensor, rotary: Tensor | None, mask: Tensor | None) -> Tensor:
        """Return the stream [B, S, D] after this block. `rotary` [2, S, d / 2], `mask` [B, 1, 1, S]."""
        return self.feed_forward(self.attention(stream, rotary, mask))


class TransformerEncoder(Encoder):
    """A stack of blocks. The summary is the mean of the states at real positions."""

    def __init__(self, options: TransformerEncoderOptions, embedding: nn.Embedding, dropout: float) -> None:
        super().__init__()
        D = embedding.embedding_dim
        self.spec = MemorySpec(states=D, summary=D)
        self.embedding = embedding
        self.positional_encoding = PositionalEncoding(options, D, dropout)
        self.blocks = nn.ModuleList(EncoderBlock(D, options, dropout) for _ in range(options.layers))
        self.norm = _final_norm(options, D)

    def forward(self, source: Source) -> Memory:
        """Encode B sentences, each with at least one token, into states [B, S, D]."""
        assert isinstance(source, TokenInput)
        ids, lengths = source.ids, source.lengths
        S = ids.shape[1]
        mask = torch.arange(S, device=ids.device) < lengths.unsqueeze(1)
        stream, rotary = _entered(self.positional_encoding, self.embedding(ids))
        for_scores = _for_scores(mask)
        for block in self.blocks:
            stream = block(stream, rotary, for_scores)
        states = self.norm(stream)
        return Memory(states=states, mask=mask, summary=_mean(states, mask))


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean [B, D] of states [B, S, D] where the mask [B, S] is True."""
    return (states * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class TransformerState:
    """What a step needs.

    Of a sentence: keys and values of the memory [B, H, S, d] in each block, mask [B, 1, 1, S] or None. Of a hypothesis:
    `cache` [B, K, steps, 2, H, d] in each block, keys and values of the `written` positions so far. Of a position:
    what it adds to an embedding [steps, D] and how it rotary queries and keys [2, steps, d / 2], or None.
    """

    memory: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor | None
    cache: tuple[Tensor, ...]
    added: Tensor | None
    rotary: Tensor | None
    written: int = 0

    def select(self, rows: Tensor, beams: Tensor) -> "TransformerState":
        """Select sentences `rows` [B'] and, of each, the hypotheses `beams` [B', K']."""
        B, K = self.cache[0].shape[:2]
        selected = self
        if not torch.equal(rows, torch.arange(B, device=rows.device)):
            memory = tuple((keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.memory)
            mask = None if self.mask is None else self.mask.index_select(0, rows)
            selected = replace(selected, memory=memory, mask=mask)
        order = (rows.unsqueeze(1) * K + beams).flatten()
        if beams.shape != (B, K) or not torch.equal(order, torch.arange(B * K, device=rows.device)):
            cache = tuple(self._reordered(part, order).unflatten(0, beams.shape) for part in self.cache)
            selected = replace(selected, cache=cache)
        return selected

    def _reordered(self, cache: Tensor, order: Tensor) -> Tensor:
        """Reorder a cache [B · K, steps, ...] by `order` [B' · K'], copying only written positions."""
        new = cache.new_empty(len(order), *cache.shape[2:])
        torch.index_select(cache.flatten(0, 1)[:, : self.written], 0, order, out=new[:, : self.written])
        return new


class DecoderBlock(nn.Module):
    """Self-attention, attention to the memory, and feed-forward."""

    def __init__(self, width: int, memory_width: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, options, dropout)
        self.cross_attention = CrossAttention(width, memory_width, options, dropout)
        self.feed_forward = FeedForward(width, options, dropout)

    def forward(
        self, stream: Tensor, rotary: Tensor | None, states: Tensor, mask: Tensor | None, *, need_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the stream [B, T, D] after this block, and its attention [B, H, T, S] if requested.

        `rotary` [2, T, d / 2], `states` [B, S, E], `mask` [B, 1, 1, S].
        """
        stream = self.self_attention(stream, rotary, causal=True)
        keys, values = self.cross_attention.keys_values(states)
        stream, attention = self.cross_attention(stream, keys, values, mask, need_attention=need_attention)
        return self.feed_forward(stream), attention

    def step(
        self,
        stream: Tensor,
        rotary: Tensor | None,
        cache: Tensor,
        position: int,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
        *,
        need_attention: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the stream [B, K, D] of one position after this block, and its attention [B, H, K, S] if requested.

        `rotary` [2, 1, d / 2], `cache` [B, K, steps, 2, H, d], `memory` two of [B, H, S, d], `mask` [B, 1, 1, S].
        """
        stream = self.self_attention.step(stream, rotary, cache, position)
        stream, attention = self.cross_attention(stream, *memory, mask, need_attention=need_attention)
        return self.feed_forward(stream), attention


class TransformerDecoder(Decoder):
    """A stack of blocks in which no position sees those behind it."""

    def __init__(
        self, options: TransformerDecoderOptions, embedding: nn.Embedding, memory: MemorySpec, dropout: float
    ) -> None:
        super().__init__()
        self.hidden_size = D = embedding.embedding_dim
        self.embedding = embedding
        self.positional_encoding = PositionalEncoding(options, D, dropout)
        self.blocks = nn.ModuleList(DecoderBlock(D, memory.states, options, dropout) for _ in range(options.layers))
        self.norm = _final_norm(options, D)
        self.shown = range(options.layers)[options.attention_layer - (options.attention_layer > 0)]

    def forward(self, memory: Memory, inputs: Tensor, *, need_attention: bool = False) -> DecoderOutput:
        """Run teacher forcing: inputs [B, T] -> hidden [B, T, D], and attention [B, T, S] if requested."""
        hidden, attention = self._run(memory, inputs, [self.shown] if need_attention else [])
        return DecoderOutput(hidden, attention[0].float().mean(1) if need_attention else None)

    def all_attention(self, memory: Memory, inputs: Tensor) -> Tensor:
        """Return attention [B, L, H, T, S] of every block and head in teacher forcing, from inputs [B, T]."""
        return torch.stack(self._run(memory, inputs, range(len(self.blocks)))[1], dim=1).float()

    def _run(self, memory: Memory, inputs: Tensor, shown: Collection[int]) -> tuple[Tensor, list[Tensor]]:
        """Hidden [B, T, D], and the attention [B, H, T, S] of the shown blocks."""
        stream, rotary = _entered(self.positional_encoding, self.embedding(inputs))
        states, mask = memory.states.to(matmul_dtype(memory.states)), _for_scores(memory.mask)
        maps = []
        for index, block in enumerate(self._stack()):
            stream, attention = block(stream, rotary, states, mask, need_attention=index in shown)
            maps += [] if attention is None else [attention]
        hidden = self.norm(stream)
        return hidden.to(matmul_dtype(hidden)), maps

    def _stack(self) -> Iterator[DecoderBlock]:
        return cast("Iterator[DecoderBlock]", iter(self.blocks))

    @torch.no_grad()
    def start(self, memory: Memory, *, max_steps: int) -> TransformerState:
        """Return the state before the first step, K = 1, with caches for `max_steps` steps. No gradients are kept."""
        states = memory.states.to(matmul_dtype(memory.states))
        sentence = tuple(
            (keys.contiguous(), values.contiguous())
            for keys, values in (block.cross_attention.keys_values(states) for block in self._stack())
        )
        keys = sentence[0][0]
        B, H, _, d = keys.shape
        return TransformerState(
            memory=sentence,
            mask=_for_scores(memory.mask),
            cache=tuple(keys.new_empty(B, 1, max_steps, 2, H, d) for _ in self.blocks),
            added=self.positional_encoding.positions.added(max_steps, self.embedding.weight),
            rotary=self.positional_encoding.positions.rotary(max_steps, self.embedding.weight),
        )

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, inputs: Tensor, state: TransformerState, *, need_attention: bool = False
    ) -> tuple[DecoderOutput, TransformerState]:
        """Run one step: inputs [B, K] -> hidden [B, K, D] and the next state, which shares the given cache."""
        position = slice(state.written, state.written + 1)
        stream = self.positional_encoding(
            self.embedding(inputs), None if state.added is None else state.added[position]
        )
        rotary = None if state.rotary is None else state.rotary[:, position]
        shown = None
        for index, block in enumerate(self._stack()):
            cache, memory, asked = state.cache[index], state.memory[index], need_attention and index == self.shown
            stream, attention = block.step(
                stream, rotary, cache, state.written, memory, state.mask, need_attention=asked
            )
            shown = shown if attention is None else attention.float().mean(1)
        hidden = self.norm(stream)
        return DecoderOutput(hidden.to(matmul_dtype(hidden)), shown), replace(state, written=state.written + 1)
