"""Cut lines into the segments that are translated one by one. Free of torch."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s2s.data.sources import Image
from s2s.text.sentences import split_long, split_sentences


@dataclass(frozen=True, slots=True)
class Segment:
    """A line, or a part of one, to translate."""

    line: int  # index of the line
    index: int  # position within the line
    start: int  # characters of the line before it
    text: str  # source text, white space around it included; empty for an image
    cut: bool  # whether it is a part of a sentence
    source: list[int] | Image  # source tokens, EOS excluded, not empty; or an image
    tag: str = ""  # that the source begins with


@dataclass(frozen=True, slots=True)
class Line:
    """A line to translate."""

    text: str  # without its tag
    start: int  # characters of the line before the text
    tag: str  # to put before each segment; may be empty
    language: str  # of the text


def cut_lines(
    lines: Sequence[Line],
    encode: Callable[[Sequence[str]], list[list[int]]],
    *,
    max_length: int,
    split: bool,
) -> list[Segment]:
    """Return the segments of all lines, in order; a line without text has none.

    With `split`, lines are cut at the sentence ends of their language. Sentences of more than `max_length` tokens are
    cut at punctuation. `encode` returns the tokens of each text.
    """
    sentences = [
        (number, sentence)
        for number, line in enumerate(lines)
        if line.text.strip()
        for sentence in (split_sentences(line.text, line.language) if split else [line.text])
    ]
    encoded = encode(
        [tagged(sentence.strip() if split else sentence, lines[number].tag) for number, sentence in sentences]
    )
    tag_lengths = {tag: len(encode([tag])[0]) for tag in {line.tag for line in lines}}  # tokens
    segments: list[Segment] = []
    counts: Counter[int] = Counter()  # segments of each line so far
    starts = [line.start for line in lines]  # characters of each line before the next segment
    for (number, sentence), tokens in zip(sentences, encoded, strict=True):
        tag, cut, texts, parts = lines[number].tag, len(tokens) > max_length, [sentence], [tokens]
        if cut:
            room = max(1, max_length - tag_lengths[tag])
            texts = split_long(sentence, room, lambda texts: list(map(len, encode(texts))))
            parts = encode([tagged(text.strip(), tag) for text in texts])
        for text, text_tokens in zip(texts, parts, strict=True):
            if len(text_tokens) > tag_lengths[tag]:
                segments.append(Segment(number, counts[number], starts[number], text, cut, text_tokens, tag))
                counts[number] += 1
            starts[number] += len(text)
    return segments


def tagged(text: str, tag: str) -> str:
    """Return a text with a tag, if any, before it."""
    return f"{tag} {text}" if tag else text
