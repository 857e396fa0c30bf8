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


def cut_lines(
    lines: Sequence[str],
    encode: Callable[[Sequence[str]], list[list[int]]],
    *,
    max_length: int,
    split: bool,
    language: str,
) -> list[Segment]:
    """Return the segments of all lines, in order; a line without tokens has none.

    With `split`, lines are cut at the sentence ends of `language`. Sentences of more than `max_length` tokens are cut
    at punctuation. `encode` returns the tokens of each text.
    """
    sentences = [
        (number, sentence)
        for number, line in enumerate(lines)
        if line.strip()
        for sentence in (split_sentences(line, language) if split else [line])
    ]
    encoded = encode([sentence.strip() if split else sentence for _, sentence in sentences])
    segments: list[Segment] = []
    counts: Counter[int] = Counter()  # segments of each line so far
    starts: Counter[int] = Counter()  # characters of each line before the next segment
    for (number, sentence), tokens in zip(sentences, encoded, strict=True):
        cut = len(tokens) > max_length
        texts = split_long(sentence, max_length, lambda texts: list(map(len, encode(texts)))) if cut else [sentence]
        for text, text_tokens in zip(texts, encode([text.strip() for text in texts]) if cut else [tokens], strict=True):
            if text_tokens:
                segments.append(Segment(number, counts[number], starts[number], text, cut, text_tokens))
                counts[number] += 1
            starts[number] += len(text)
    return segments
