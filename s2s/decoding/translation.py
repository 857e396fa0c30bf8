"""A translated line and its parts. Free of torch.

L tokens of a translation (EOS included), S source positions (EOS included).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from s2s.text.lines import single_line


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated line, or a translated part of one."""

    text: str
    score: float = 0.0  # log-probability / length^α, averaged over parts
    log_probability: float = 0.0  # natural logarithm, `</s>` included; summed over parts
    tokens: tuple[str, ...] = ()  # ends with `</s>` unless truncated
    parts: tuple["Part", ...] = ()  # if the line was translated in parts
    truncated: bool = False  # whether it ends at the length limit
    looping: bool = False  # whether it repeats itself, but its source does not
    cut: bool = False  # whether a sentence was longer than the model takes, and was cut
    long_source: bool = False  # whether a sentence is longer than training knew, but was not cut
    incomplete: bool = False  # whether it seems to leave out some of the source
    source_length: int = 0  # source tokens, EOS excluded
    unknown_tokens: int = 0  # source tokens that are UNK or byte fallback
    tag: str = ""  # that the source begins with, or that was put before it
    untagged: bool = False  # whether it has none, but all sources of training had
    source_tokens: tuple[str, ...] = ()  # with attention: S source tokens, `</s>` last
    attention: tuple[tuple[float, ...], ...] = ()  # with attention: [L, S]; empty if there are parts, which have it
    grid: tuple[int, int] | None = None  # of an image: height and width of the grid of its S positions

    @property
    def with_attention(self) -> "list[Translation]":
        """The translations that carry the line's attention: this one or its parts; none without attention."""
        translations = [part.translation for part in self.parts] or [self]
        return [translation for translation in translations if translation.attention]

    def _repr_html_(self) -> str:
        """Show the text in a notebook, with the attention heat maps if there are any."""
        from html import escape

        from s2s.report.heatmap import svg_heatmap

        texts = [one for one in self.with_attention if not one.grid]
        pictures = (svg_heatmap(one.attention, one.source_tokens, one.tokens) for one in texts)
        return f"<p>{escape(self.text)}</p>{''.join(pictures)}"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a line, and its translation."""

    start: int  # characters of the line before it
    end: int  # characters of the line up to its end
    translation: Translation


def join_parts(line: str, parts: Sequence[Part], *, spaces: bool) -> Translation:
    """Join the translations of a line's parts with the white space between their sources.

    Where there is none, put a space if `spaces`: whether the target language writes one between sentences.
    """
    translations = [part.translation for part in parts]
    text = translations[0].text
    for previous, part in pairwise(parts):
        text += _gap(line[previous.end : part.start], spaces=spaces) + part.translation.text
    return Translation(
        text=single_line(text),
        score=sum(one.score for one in translations) / len(parts),
        log_probability=sum(one.log_probability for one in translations),
        tokens=tuple(token for one in translations for token in one.tokens),
        parts=tuple(parts),
        truncated=any(one.truncated for one in translations),
        looping=any(one.looping for one in translations),
        cut=any(one.cut for one in translations),
        long_source=any(one.long_source for one in translations),
        incomplete=any(one.incomplete for one in translations),
        source_length=sum(one.source_length for one in translations),
        unknown_tokens=sum(one.unknown_tokens for one in translations),
        tag=translations[0].tag,
        untagged=translations[0].untagged,
    )


def _gap(between: str, *, spaces: bool) -> str:
    """Return what joins two translations whose sources have `between` between them."""
    return between[len(between.rstrip()) :] or (" " if spaces else "")
