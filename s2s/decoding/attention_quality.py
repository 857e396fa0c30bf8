"""Attention quality of a model, measured by forced decoding of the references.

Forced decoding measures attention apart from the quality of translations. S source tokens, T target tokens, EOS
excluded. Free of torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2s.decoding.engine import ScoringEngine
from s2s.decoding.translator import Translator
from s2s.metrics.alignment import (
    AlignmentCounts,
    AttentionSums,
    SpanLink,
    alignment_counts,
    attention_links,
    attention_sums,
    token_links,
    token_spans,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KnownAlignment = Callable[[str, str], list[SpanLink] | None]  # of a source and a target; None if it is unknown


@dataclass(frozen=True, slots=True)
class ForcedAttention:
    """A model's attention to a source during forced decoding of its reference."""

    source_tokens: tuple[str, ...]  # S
    target_tokens: tuple[str, ...]  # T
    attention: "NDArray[np.float32]"  # [T + 1, S + 1], EOS last; row t is that of the step that predicts token t


@dataclass(frozen=True, slots=True)
class AttentionQuality:
    """Sharpness, coverage and, where it is known, the alignment of attention over a test set."""

    sums: AttentionSums
    alignment: AlignmentCounts
    aligned_lines: int  # whose alignment is known


def forced_attention(
    translator: Translator[ScoringEngine], sources: Sequence[str], references: Sequence[str]
) -> Iterator[tuple[int, ForcedAttention]]:
    """Yield the index and attention of each of N raw references given its raw source, batch by batch, out of order.

    Of a Transformer, it is that of `attention_layer`, averaged over heads. A model without attention yields nothing.
    Memory: one batch.
    """
    tokenizer = translator.tokenizer
    source_ids, target_ids = translator.encode_lines(sources), translator.encode(references)
    for row, forced in translator.engine.force(source_ids, target_ids, need_attention=True):
        if forced.attention is not None:
            yield (
                row,
                ForcedAttention(
                    tuple(tokenizer.tokens(source_ids[row])), tuple(tokenizer.tokens(target_ids[row])), forced.attention
                ),
            )


def attention_quality(
    translator: Translator[ScoringEngine],
    sources: Sequence[str],
    references: Sequence[str],
    known_alignment: KnownAlignment = lambda source, target: None,
) -> AttentionQuality:
    """Measure a model's attention to N raw sources while it is made to produce their raw references.

    Lines whose alignment is unknown, or whose tokens do not spell them, count for sharpness and coverage alone.
    """
    sums, alignment, lines = AttentionSums(), AlignmentCounts(), 0
    for row, forced in forced_attention(translator, sources, references):
        sums += attention_sums(forced.attention)
        links = known_alignment(sources[row], references[row])
        spans = token_spans(sources[row], forced.source_tokens), token_spans(references[row], forced.target_tokens)
        if links is not None and spans[0] is not None and spans[1] is not None:
            alignment += alignment_counts(attention_links(forced.attention), token_links(links, spans[0], spans[1]))
            lines += 1
    return AttentionQuality(sums, alignment, lines)
