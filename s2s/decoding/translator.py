"""The translator: an engine and a tokenizer; raw lines in, raw lines out, in order. Free of torch.

L tokens of a translation (EOS included), S source positions (EOS included).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2s.decoding.engine import (
    Engine,
    Hypothesis,
    PendingSearch,
    Request,
    SourceSentence,
    check_finite,
    max_source_length,
)
from s2s.errors import UsageError
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.text.lines import normalize, single_line
from s2s.text.tokenizer import Tokenizer

Engine_co = TypeVar("Engine_co", bound=Engine, covariant=True)


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated line."""

    text: str
    score: float = 0.0  # log-probability / length^α, averaged over segments
    tokens: tuple[str, ...] = ()  # ends with `</s>` unless truncated
    truncated: bool = False  # whether it ends at the length limit
    split: bool = False  # whether the source was too long and translated in segments
    source_length: int = 0  # source tokens, EOS excluded
    unknown_tokens: int = 0  # source tokens that are UNK or byte fallback
    source_tokens: tuple[str, ...] = ()  # with attention: S source tokens, `</s>` last
    attention: tuple[tuple[float, ...], ...] = ()  # with attention: [L, S]

    def _repr_html_(self) -> str:
        """Show the text in a notebook, with the attention heat map if there is one."""
        from html import escape

        from s2s.report.heatmap import svg_heatmap

        picture = svg_heatmap(self.attention, self.source_tokens, self.tokens) if self.attention else ""
        return f"<p>{escape(self.text)}</p>{picture}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A whole line, or a part of one that is too long."""

    line: int  # index of the line
    index: int  # position within the line
    tokens: list[int]  # source tokens, EOS excluded


@dataclass(frozen=True, slots=True)
class SegmentTranslation:
    """One hypothesis of a segment."""

    segment: Segment
    hypothesis: Hypothesis
    text: str


@dataclass(frozen=True, slots=True)
class PendingTranslations:
    """Translations that may still be computed."""

    lines: Sequence[str]
    segments: list[Segment]  # of all lines that are not blank, in order
    search: PendingSearch  # of the segments
    tokenizer: Tokenizer

    def result(self) -> list[list[Translation]]:
        """Wait for the search and return up to `nbest` translations of each line, best first."""
        hypotheses = self.search.result()
        check_finite(hypotheses)
        # decoded together, as a call costs more than most sentences do
        texts = iter(self.tokenizer.decode([hypothesis.tokens for nbest in hypotheses for hypothesis in nbest]))
        by_line: list[list[list[SegmentTranslation]]] = [[] for _ in self.lines]
        for segment, nbest in zip(self.segments, hypotheses, strict=True):
            by_line[segment.line].append([SegmentTranslation(segment, hypothesis, next(texts)) for hypothesis in nbest])
        return [self._translations(segments) for segments in by_line]

    def _translations(self, segments: list[list[SegmentTranslation]]) -> list[Translation]:
        """Return one line's translations from the n-best lists of its segments."""
        if not segments:
            return [Translation("")]
        count = max(len(nbest) for nbest in segments)
        return [self._join([nbest[min(rank, len(nbest) - 1)] for nbest in segments]) for rank in range(count)]

    def _join(self, parts: list[SegmentTranslation]) -> Translation:
        """Join the translations of a line's segments."""
        source = [token for part in parts for token in part.segment.tokens]
        attention = parts[0].hypothesis.attention if len(parts) == 1 else None
        return Translation(
            text=single_line(" ".join(part.text for part in parts)),
            score=sum(part.hypothesis.score for part in parts) / len(parts),
            tokens=tuple(token for part in parts for token in self._tokens(part.hypothesis)),
            truncated=any(part.hypothesis.truncated for part in parts),
            split=len(parts) > 1,
            source_length=len(source),
            unknown_tokens=self.tokenizer.unknown(source),
            source_tokens=() if attention is None else (*self.tokenizer.tokens(source), "</s>"),
            attention=() if attention is None else _rounded(attention[:, : len(source) + 1]),
        )

    def _tokens(self, hypothesis: Hypothesis) -> list[str]:
        """Return the hypothesis's tokens as strings, `</s>` last unless it was truncated."""
        return [*self.tokenizer.tokens(hypothesis.tokens), *([] if hypothesis.truncated else ["</s>"])]


class Translator(Generic[Engine_co]):
    """Translates raw lines: normalizes, tokenizes, searches, detokenizes."""

    def __init__(self, engine: Engine_co, tokenizer: Tokenizer, recipe: Recipe) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.recipe = recipe

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Return the token ids of raw lines."""
        form = self.recipe.data.normalization
        return self.tokenizer.encode([normalize(line, form) for line in lines])

    def translate(
        self, lines: Sequence[str], options: DecodingOptions | None = None, *, need_attention: bool = False
    ) -> list[Translation]:
        """Return each line's best translation, in order; that of a blank line is empty and does not run the model."""
        return [nbest[0] for nbest in self.start(lines, options, need_attention=need_attention).result()]

    def start(
        self,
        lines: Sequence[str],
        options: DecodingOptions | None = None,
        *,
        nbest: int = 1,
        need_attention: bool = False,
        prefixes: Sequence[str] = (),
        first_line: int = 0,
    ) -> PendingTranslations:
        """Start to translate lines.

        `prefixes` is empty or holds the text that each line's translation starts with. `first_line` is the number of
        the first line, which determines the random numbers of samples.
        """
        options = options or self.recipe.decoding
        prefix_tokens = self.encode(prefixes) if prefixes else [[] for _ in lines]
        segments = self._segments(lines)
        sentences = []
        for segment in segments:
            prefix = prefix_tokens[segment.line] if segment.index == 0 else []
            sentences.append(
                SourceSentence(
                    tokens=segment.tokens,
                    max_length=options.max_length(len(segment.tokens)) + len(prefix),
                    min_length=options.min_length(len(segment.tokens)),
                    prefix=prefix,
                    sample_key=(first_line + segment.line, segment.index),
                )
            )
        search = self.engine.start(Request(sentences, options, nbest, need_attention))
        return PendingTranslations(lines, segments, search, self.tokenizer)

    def _segments(self, lines: Sequence[str]) -> list[Segment]:
        """Tokenize all lines that are not blank and split the long ones."""
        max_length = max_source_length(self.recipe)
        return [
            Segment(line, index, tokens)
            for line, (text, line_tokens) in enumerate(zip(lines, self.encode(lines), strict=True))
            if text.strip()
            for index, tokens in enumerate(_split(line_tokens, max_length))
        ]


def _rounded(attention: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(value, 6) for value in row) for row in attention.tolist())


def _split(tokens: list[int], max_length: int) -> list[list[int]]:
    """Split a long sentence into parts of nearly equal length."""
    count = -(-len(tokens) // max_length)
    bounds = [len(tokens) * index // max(count, 1) for index in range(count + 1)]
    return [tokens[start:end] for start, end in pairwise(bounds)]


def require_attention(recipe: Recipe) -> None:
    """Raise UsageError if a model has no attention."""
    if not recipe.model.has_attention:
        raise UsageError(
            f"model {recipe.name} has no attention: {recipe.model.describe()}",
            'train a recipe with model.decoder.context = "attention"',
        )
