"""The translator: an engine and a tokenizer; raw lines or images in, raw lines out, in order. Free of torch.

L tokens of a translation (EOS included), S source positions (EOS included, or the cells of an image's grid).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from s2s.data.source_profile import SourceProfile
from s2s.data.sources import Image, RawSources, Sources
from s2s.decoding.engine import DecodingInput, Engine, Hypothesis, PendingSearch, Request, check_finite
from s2s.decoding.segments import Line, Segment, cut_lines, tagged
from s2s.decoding.settings import TranslatorSettings, usual_sources
from s2s.decoding.translation import Part, Translation, join_parts
from s2s.metrics.alignment import LITTLE_ATTENTION
from s2s.metrics.output_faults import loops
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.languages import primary_language
from s2s.text.lines import normalize, single_line
from s2s.text.sentences import NO_SPACES
from s2s.text.tokenizer import UNK, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from s2s.recipe.recipe import Recipe

SPACES = re.compile("  +")
MAX_IGNORED = 0.3  # share of a source's positions that a complete translation may ignore

Engine_co = TypeVar("Engine_co", bound=Engine, covariant=True)


@dataclass(frozen=True, slots=True)
class PendingTranslations:
    """Translations that may still be computed."""

    lines: Sequence[str]  # empty texts for images
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
        texts = iter(map(_collapsed, self.translator.tokenizer.decode(tokens)))
        by_line: list[list[list[Part]]] = [[] for _ in self.lines]
        for segment, nbest in zip(self.segments, hypotheses, strict=True):
            parts = [self._part(segment, hypothesis, next(texts)) for hypothesis in nbest]
            by_line[segment.line].append(parts)
        return [self._translations(*line) for line in zip(self.lines, by_line, strict=True)]

    def _part(self, segment: Segment, hypothesis: Hypothesis, text: str) -> Part:
        """Return one translation of a segment, placed in its line without the white space around it."""
        start = segment.start + len(segment.text) - len(segment.text.lstrip())
        end = segment.start + len(segment.text.rstrip())
        return Part(start, end, self.translator.translation(segment, hypothesis, self._with_prefix(segment, text)))

    def _with_prefix(self, segment: Segment, text: str) -> str:
        """Restore the characters of a forced prefix that the tokenizer does not know."""
        if not self.prefixes or segment.index or UNK not in self.prefix_tokens[segment.line]:
            return text
        (decoded,) = self.translator.tokenizer.decode([self.prefix_tokens[segment.line]])
        return self.prefixes[segment.line].strip() + text.removeprefix(_collapsed(decoded))

    def _translations(self, line: str, segments: list[list[Part]]) -> list[Translation]:
        """Return one line's translations from the n-best lists of its segments."""
        if not segments:
            return [Translation("", tag=self.translator.settings.split_tag(line)[0])]
        if len(segments) == 1:
            return [part.translation for part in segments[0]]
        _, language = self.translator.settings.languages(segments[0][0].translation.tag)
        spaces = primary_language(language) not in NO_SPACES
        return [
            join_parts(line, [nbest[min(rank, len(nbest) - 1)] for nbest in segments], spaces=spaces)
            for rank in range(max(map(len, segments)))
        ]


class Translator(Generic[Engine_co]):
    """Translates raw lines: normalizes, tokenizes, searches, detokenizes. Captions images likewise.

    `profile` describes the sources that the model was trained on; without it, lines are not compared with them.
    """

    def __init__(
        self,
        engine: Engine_co,
        tokenizer: Tokenizer,
        settings: TranslatorSettings,
        profile: SourceProfile | None = None,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.settings = settings
        self.profile = profile

    @property
    def single_sentences(self) -> bool:
        """Whether the model was trained on single sentences of natural text."""
        return self.settings.natural and self.profile is not None and self.profile.single_sentences

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Return the token ids of raw lines."""
        form = self.settings.normalization
        return self.tokenizer.encode([normalize(line, form) for line in lines])

    def encode_sources(self, sources: RawSources) -> Sources:
        """Return the token ids of raw source lines; images stay as they are."""
        return cast(Sources, sources) if _are_images(sources) else self.encode_lines(cast(Sequence[str], sources))

    def encode_lines(self, sources: Sequence[str]) -> list[list[int]]:
        """Return the token ids of raw source lines, with the tag where they have none."""
        lines = map(self.settings.split_tag, sources)
        return self.encode([tagged(text, tag) if text.strip() else text for tag, text in lines])

    def translate(
        self,
        sources: RawSources,
        options: DecodingOptions | None = None,
        *,
        need_attention: bool = False,
        split: bool = False,
    ) -> list[Translation]:
        """Return the best translation of each line, or the best caption of each image, in order.

        That of a blank line is empty and does not run the model. `split`: see `start`.
        """
        return [nbest[0] for nbest in self.start(sources, options, need_attention=need_attention, split=split).result()]

    def start(
        self,
        sources: RawSources,
        options: DecodingOptions | None = None,
        *,
        nbest: int = 1,
        need_attention: bool = False,
        prefixes: Sequence[str] = (),
        line_numbers: Sequence[int] = (),
        split: bool = False,
    ) -> PendingTranslations:
        """Start to translate lines or to caption images.

        `prefixes` is empty or holds the text that each line's translation starts with. `line_numbers`, from 0 by
        default, determine the random numbers of samples. With `split`, the sentences of a line are translated one by
        one.
        """
        options = options or self.settings.decoding
        prefix_tokens = self.encode(prefixes) if prefixes else [[] for _ in sources]
        numbers = line_numbers or range(len(sources))
        segments, lines = self._segments(sources, split=split)
        inputs = []
        for segment in segments:
            prefix = prefix_tokens[segment.line] if segment.index == 0 else []
            longest, shortest = _length_limits(options, segment.source)
            inputs.append(
                DecodingInput(
                    source=segment.source,
                    max_length=longest + len(prefix),
                    min_length=shortest,
                    prefix=prefix,
                    sample_key=(numbers[segment.line], segment.index),
                )
            )
        search = self.engine.start(Request(inputs, options, nbest, need_attention))
        return PendingTranslations(lines, segments, search, self, prefixes, prefix_tokens)

    def _segments(self, sources: RawSources, *, split: bool) -> tuple[list[Segment], Sequence[str]]:
        """Return the segments of lines, and the lines; an image is one segment of an empty line."""
        if _are_images(sources):
            segments = [Segment(number, 0, 0, "", False, cast(Image, image)) for number, image in enumerate(sources)]
            return segments, [""] * len(sources)
        texts, lines = cast(Sequence[str], sources), []
        for line in texts:
            tag, text = self.settings.split_tag(line)
            lines.append(Line(text, len(line) - len(text), tag, self.settings.languages(tag)[0]))
        return cut_lines(lines, self.encode, max_length=self.settings.max_source_length, split=split), texts

    def translation(self, segment: Segment, hypothesis: Hypothesis, text: str) -> Translation:
        """Describe a hypothesis of a segment and its detokenized text."""
        source, attention = segment.source, hypothesis.attention
        end = [] if hypothesis.truncated else ["</s>"]
        found = Translation(
            text=single_line(text),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=(*self.tokenizer.tokens(hypothesis.tokens), *end),
            truncated=hypothesis.truncated,
            looping=loops(hypothesis.tokens),
        )
        if isinstance(source, Image):
            maps = () if attention is None else _rounded(attention)
            return replace(found, attention=maps, grid=self.settings.grid)
        return replace(
            found,
            looping=found.looping and not loops(source),
            cut=segment.cut,
            long_source=not segment.cut and self.profile is not None and self.profile.is_longer(len(source)),
            incomplete=self._is_incomplete(len(source), hypothesis),
            source_length=len(source),
            unknown_tokens=self.tokenizer.unknown(source),
            tag=segment.tag,
            untagged=self.settings.all_tagged and not segment.tag,
            source_tokens=() if attention is None else (*self.tokenizer.tokens(source), "</s>"),
            attention=() if attention is None else _rounded(attention[:, : len(source) + 1]),
        )

    def _is_incomplete(self, source: int, hypothesis: Hypothesis) -> bool:
        """Return whether a translation is unusually short, or pays little attention to much of its source."""
        if self.profile is not None and self.profile.is_too_short(source, len(hypothesis.tokens)):
            return True
        attention = hypothesis.attention
        return attention is not None and float((attention[:, :source].sum(0) < LITTLE_ATTENTION).mean()) > MAX_IGNORED


class RecipeTranslator(Translator[Engine_co]):
    """A translator that has the whole recipe of its model."""

    def __init__(
        self,
        engine: Engine_co,
        tokenizer: Tokenizer,
        recipe: "Recipe",
        profile: SourceProfile | None = None,
        tag: str = "",
    ) -> None:
        settings = TranslatorSettings.of(recipe).with_tag(tag)
        super().__init__(engine, tokenizer, settings, usual_sources(recipe, profile))
        self.recipe = recipe


def _rounded(attention: "NDArray[np.float32]") -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(value, 6) for value in row) for row in attention.tolist())


def _collapsed(text: str) -> str:
    return SPACES.sub(" ", text).strip()


def _are_images(sources: RawSources) -> bool:
    return bool(sources) and isinstance(sources[0], Image)


def _length_limits(options: DecodingOptions, source: list[int] | Image) -> tuple[int, int]:
    """Return the maximum output length in tokens, EOS included, and the minimum one, EOS excluded."""
    if isinstance(source, Image):
        return options.max_caption_length, 0
    return options.max_length(len(source)), options.min_length(len(source))
