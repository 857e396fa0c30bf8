"""The translator: an engine and a tokenizer; raw lines in, raw lines out, in order. Free of torch.

L tokens of a translation (EOS included), S source positions (EOS included).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2s.data.source_profile import SourceProfile
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
from s2s.recipe.data import GeneratorDataOptions, primary_language
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.text.lines import normalize, single_line
from s2s.text.sentences import NO_SPACES, split_long, split_sentences
from s2s.text.tokenizer import UNK, Tokenizer

SPACES = re.compile("  +")
LITTLE_ATTENTION = 0.2  # summed over a translation, that a source position gets if it is ignored
MAX_IGNORED = 0.3  # share of a source's positions that a complete translation may ignore

Engine_co = TypeVar("Engine_co", bound=Engine, covariant=True)


@dataclass(frozen=True, slots=True)
class Part:
    """The translation of a part of a line."""

    start: int  # characters of the line before it
    end: int
    text: str  # translation
    score: float


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated line."""

    text: str
    score: float = 0.0  # log-probability / length^α, averaged over parts
    tokens: tuple[str, ...] = ()  # ends with `</s>` unless truncated
    parts: tuple[Part, ...] = ()  # if the line was cut
    truncated: bool = False  # whether it ends at the length limit
    cut: bool = False  # whether a sentence was longer than the model takes, and was cut
    long_source: bool = False  # whether a sentence is longer than training knew
    incomplete: bool = False  # whether it seems to leave out some of the source
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
    """A line, or a part of one, to translate."""

    line: int  # index of the line
    index: int  # position within the line
    start: int  # characters of the line before it
    end: int
    cut: bool  # whether it is a part of a sentence
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
    translator: "Translator[Engine]"
    prefixes: Sequence[str]  # of the lines, if there are any
    prefix_tokens: Sequence[list[int]]

    def result(self) -> list[list[Translation]]:
        """Wait for the search and return up to `nbest` translations of each line, best first."""
        hypotheses = self.search.result()
        check_finite(hypotheses)
        # decoded together, as a call costs more than most sentences do
        tokens = [hypothesis.tokens for nbest in hypotheses for hypothesis in nbest]
        texts = iter([SPACES.sub(" ", text).strip() for text in self.translator.tokenizer.decode(tokens)])
        by_line: list[list[list[SegmentTranslation]]] = [[] for _ in self.lines]
        for segment, nbest in zip(self.segments, hypotheses, strict=True):
            by_line[segment.line].append(
                [
                    SegmentTranslation(segment, hypothesis, self._with_prefix(segment, next(texts)))
                    for hypothesis in nbest
                ]
            )
        return [self._translations(*line) for line in zip(self.lines, by_line, strict=True)]

    def _with_prefix(self, segment: Segment, text: str) -> str:
        """Restore the characters of a forced prefix that the tokenizer does not know."""
        if not self.prefixes or segment.index or UNK not in self.prefix_tokens[segment.line]:
            return text
        (decoded,) = self.translator.tokenizer.decode([self.prefix_tokens[segment.line]])
        return self.prefixes[segment.line].strip() + text.removeprefix(decoded)

    def _translations(self, line: str, segments: list[list[SegmentTranslation]]) -> list[Translation]:
        """Return one line's translations from the n-best lists of its segments."""
        if not segments:
            return [Translation("")]
        count = max(len(nbest) for nbest in segments)
        return [
            self.translator.join(line, [nbest[min(rank, len(nbest) - 1)] for nbest in segments])
            for rank in range(count)
        ]


class Translator(Generic[Engine_co]):
    """Translates raw lines: normalizes, tokenizes, searches, detokenizes.

    `profile` describes the sources that the model was trained on; without it, lines are not compared with them.
    """

    def __init__(
        self, engine: Engine_co, tokenizer: Tokenizer, recipe: Recipe, profile: SourceProfile | None = None
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.profile = profile

    @property
    def single_sentences(self) -> bool:
        """Whether the model was trained on single sentences of natural text."""
        natural = not isinstance(self.recipe.data, GeneratorDataOptions)
        return natural and self.profile is not None and self.profile.single_sentences

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Return the token ids of raw lines."""
        form = self.recipe.data.normalization
        return self.tokenizer.encode([normalize(line, form) for line in lines])

    def translate(
        self,
        lines: Sequence[str],
        options: DecodingOptions | None = None,
        *,
        need_attention: bool = False,
        split: bool = False,
    ) -> list[Translation]:
        """Return each line's best translation, in order; that of a blank line is empty and does not run the model.

        `split`: see `start`.
        """
        return [nbest[0] for nbest in self.start(lines, options, need_attention=need_attention, split=split).result()]

    def start(
        self,
        lines: Sequence[str],
        options: DecodingOptions | None = None,
        *,
        nbest: int = 1,
        need_attention: bool = False,
        prefixes: Sequence[str] = (),
        first_line: int = 0,
        split: bool = False,
    ) -> PendingTranslations:
        """Start to translate lines.

        `prefixes` is empty or holds the text that each line's translation starts with. `first_line` is the number of
        the first line, which determines the random numbers of samples. With `split`, the sentences of a line are
        translated one by one.
        """
        options = options or self.recipe.decoding
        prefix_tokens = self.encode(prefixes) if prefixes else [[] for _ in lines]
        segments = self._segments(lines, split)
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
        return PendingTranslations(lines, segments, search, self, prefixes, prefix_tokens)

    def _segments(self, lines: Sequence[str], split: bool) -> list[Segment]:
        """Cut and tokenize all lines that are not blank."""
        language, max_length = self.recipe.data.source_language, max_source_length(self.recipe)
        sentences = [
            (number, sentence)
            for number, line in enumerate(lines)
            if line.strip()
            for sentence in (split_sentences(line, language) if split else [line])
        ]
        segments: list[Segment] = []
        encoded = self.encode([sentence.strip() if split else sentence for _, sentence in sentences])
        for (number, sentence), tokens in zip(sentences, encoded, strict=True):
            cut = len(tokens) > max_length
            texts = split_long(sentence, max_length, self._count_tokens) if cut else [sentence]
            encoded_texts = self.encode([text.strip() for text in texts]) if cut else [tokens]
            for text, text_tokens in zip(texts, encoded_texts, strict=True):
                last = segments[-1] if segments and segments[-1].line == number else None
                index, start = (last.index + 1, last.end) if last else (0, 0)
                segments.append(Segment(number, index, start, start + len(text), cut, text_tokens))
        return [segment for segment in segments if segment.tokens]

    def _count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(tokens) for tokens in self.encode(texts)]

    def join(self, line: str, parts: Sequence[SegmentTranslation]) -> Translation:
        """Join the translations of a line's segments with the white space between their sources."""
        text = parts[0].text
        for previous, part in pairwise(parts):
            text += self._gap(line[previous.segment.start : previous.segment.end]) + part.text
        source = [token for part in parts for token in part.segment.tokens]
        attention = parts[0].hypothesis.attention if len(parts) == 1 else None
        return Translation(
            text=single_line(text),
            score=sum(part.hypothesis.score for part in parts) / len(parts),
            tokens=tuple(token for part in parts for token in self._tokens(part.hypothesis)),
            parts=tuple(_part(line, part) for part in parts) if len(parts) > 1 else (),
            truncated=any(part.hypothesis.truncated for part in parts),
            cut=any(part.segment.cut for part in parts),
            long_source=any(self._is_longer(part) for part in parts),
            incomplete=any(self._is_incomplete(part) for part in parts),
            source_length=len(source),
            unknown_tokens=self.tokenizer.unknown(source),
            source_tokens=() if attention is None else (*self.tokenizer.tokens(source), "</s>"),
            attention=() if attention is None else _rounded(attention[:, : len(source) + 1]),
        )

    def _gap(self, source: str) -> str:
        """Return the white space between the translation of a part and the next one."""
        space = source[len(source.rstrip()) :]
        return space or ("" if primary_language(self.recipe.data.target_language) in NO_SPACES else " ")

    def _tokens(self, hypothesis: Hypothesis) -> list[str]:
        """Return the hypothesis's tokens as strings, `</s>` last unless it was truncated."""
        return [*self.tokenizer.tokens(hypothesis.tokens), *([] if hypothesis.truncated else ["</s>"])]

    def _is_longer(self, part: SegmentTranslation) -> bool:
        return self.profile is not None and self.profile.is_longer(len(part.segment.tokens))

    def _is_incomplete(self, part: SegmentTranslation) -> bool:
        """Return whether a translation is unusually short, or pays little attention to much of its source."""
        source, attention = len(part.segment.tokens), part.hypothesis.attention
        if self.profile is not None and self.profile.is_too_short(source, len(part.hypothesis.tokens)):
            return True
        return attention is not None and float((attention[:, :source].sum(0) < LITTLE_ATTENTION).mean()) > MAX_IGNORED


def _part(line: str, part: SegmentTranslation) -> Part:
    """Describe a part by its place in the line, without the white space around it."""
    source = line[part.segment.start : part.segment.end]
    start, end = len(source) - len(source.lstrip()), len(source.rstrip())
    return Part(part.segment.start + start, part.segment.start + end, part.text, part.hypothesis.score)


def _rounded(attention: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(value, 6) for value in row) for row in attention.tolist())


def require_attention(recipe: Recipe) -> None:
    """Raise UsageError if a model has no attention."""
    if not recipe.model.has_attention:
        raise UsageError(
            f"model {recipe.name} has no attention: {recipe.model.describe()}",
            'train a recipe with model.decoder.context = "attention"',
        )
