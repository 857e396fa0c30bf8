"""Text of others in reports: made safe to show, and with its differences to a reference marked."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

WORD = re.compile(r"\w+|[^\w\s]")
# Bidirectional controls reorder a whole line; in data they could falsify a report.
REORDERING = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an output; of kind `missing`, the words of the reference that the output lacks at this place."""

    text: str
    kind: Literal["same", "different", "missing"]


def printable(text: str) -> str:
    """Return text on one line and without control characters: these become U+FFFD, tabs and line ends spaces."""
    return "".join(map(_printable_character, text))


def _printable_character(character: str) -> str:
    if character in "\t\n\r\v\f\x85\u2028\u2029":
        return " "
    hidden = unicodedata.category(character) in {"Cc", "Cs"} or character in REORDERING
    return "\ufffd" if hidden else character


def nearest(output: str, references: Sequence[str]) -> str:
    """Return the reference that shares most words and punctuation marks with `output`, relative to their lengths."""
    words = WORD.findall(output)

    def similarity(reference: str) -> float:
        return SequenceMatcher(None, words, WORD.findall(reference), autojunk=False).ratio()

    return max(references, key=similarity)


def marked(output: str, reference: str) -> list[Span]:
    """Return `output` in spans, by the words and punctuation marks that it shares with `reference`.

    The texts of all spans but those of kind `missing`, joined, are the output.
    """
    ours, theirs = list(WORD.finditer(output)), list(WORD.finditer(reference))
    matcher = SequenceMatcher(None, [word[0] for word in ours], [word[0] for word in theirs], autojunk=False)
    spans: list[Span] = []
    at = 0
    for kind, begin, end, from_, to in matcher.get_opcodes():
        if begin < end:
            start, stop = ours[begin].start(), ours[end - 1].end()
            spans += [Span(output[at:start], "same")] if at < start else []
            spans.append(Span(output[start:stop], "same" if kind == "equal" else "different"))
            at = stop
        else:
            spans.append(Span(reference[theirs[from_].start() : theirs[to - 1].end()], "missing"))
    return [*spans, Span(output[at:], "same")] if at < len(output) else spans
