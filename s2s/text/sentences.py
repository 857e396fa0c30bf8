"""Cut lines of text into sentences, and over-long sentences at punctuation. Joined, the parts give the line again."""

import functools
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from s2s.recipe.languages import primary_language

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Languages that write ordinal numbers with a full stop: "2. Stock" is no sentence end.
ORDINALS = {"bs", "cs", "da", "de", "et", "fi", "fo", "hr", "hu", "is", "lb", "lv", "nb", "nn", "no", "pl", "sk", "sl"}
ORDINALS |= {"sq", "sr", "tr"}
NO_SPACES = {"ja", "km", "lo", "my", "th", "zh"}  # languages written without spaces between sentences
ORDINAL = re.compile(r"(?<![\w.,])\d{1,3}\.\s*$")
LETTERLESS = re.compile(r"[\W\d_]*$")  # the number of a list item, a dash
SPACE = " \t\u3000"
# A piece of text that is never cut: a placeholder or tag, or characters up to a space or East Asian punctuation.
ATOM = re.compile(rf"(?:<[^<>]*>|\{{[^{{}}]*\}}|[^{SPACE}；：，、。])+[；：，、。]*[{SPACE}]*|[{SPACE}；：，、。]+")
INNER = r"[\w ,'’-]"  # characters that end no sentence
PLAIN = re.compile(rf"{INNER}+[^\w\s]? *")  # without a sentence end before its own: most lines of a corpus
TABLE = 1 << 16  # code points that are looked up
RANKS = (";:；：。", ",，、")  # where to cut: best after these characters, then after those, else after a space
BALANCE = 0.25  # how much a part may differ from equal length for the sake of punctuation


def split_sentences(line: str, language: str) -> list[str]:
    """Cut a line at its sentence ends; white space stays at the end of the sentence before it.

    `language` is a code such as de or pt_BR; its abbreviations, ordinals and initials are no sentence ends.
    """
    if PLAIN.fullmatch(line):
        return [line]
    from sentencex import segment

    code = primary_language(language)
    parts: list[str] = []
    for part in segment(code, line):
        if parts and (LETTERLESS.match(parts[-1]) or (code in ORDINALS and ORDINAL.search(parts[-1]))):
            parts[-1] += part
        else:
            parts.append(part)
    if len(parts) > 1 and LETTERLESS.match(parts[-1]):
        parts[-2:] = ["".join(parts[-2:])]
    return parts


def are_plain(texts: Sequence[str]) -> "NDArray[np.bool_]":
    """Return which of at least one text [N] have no character before their last that could end a sentence."""
    import numpy as np

    joined = "\n".join(["", *texts]).encode("utf-32-le", "surrogatepass")
    others = _others().take(np.frombuffer(joined, np.uint32), mode="clip")
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    others[ends - 1] = False  # the last characters; before empty texts, line ends
    plain: NDArray[np.bool_] = np.add.reduceat(others, np.concatenate([[0], ends[:-1]]), dtype=np.int64) == 0
    return plain


@functools.cache
def _others() -> "NDArray[np.bool_]":
    """Return a table [TABLE] of the characters that are not INNER, nor line ends."""
    import numpy as np

    inner = re.compile(rf"{INNER}|\n")
    return np.array([not inner.fullmatch(chr(code)) for code in range(TABLE - 1)] + [True])


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a sentence may be cut."""

    position: int  # characters before it
    tokens: int  # tokens before it
    rank: int  # index in RANKS, or one more for a space


def split_long(text: str, max_length: int, count_tokens: Callable[[Sequence[str]], list[int]]) -> list[str]:
    """Cut a text into the fewest parts of at most `max_length` tokens, of nearly equal length.

    Cuts follow punctuation, else spaces; a longer run of characters without either is cut anywhere.
    `count_tokens` returns the number of tokens of each text.
    """
    atoms = _atoms(text, max_length, count_tokens)
    ends = zip(accumulate(map(len, atoms)), accumulate(count_tokens(atoms)), atoms, strict=True)
    cuts = [Cut(position, tokens, _rank(atom)) for position, tokens, atom in ends]
    total, chosen = cuts[-1].tokens, [Cut(0, 0, 0)]
    while total - chosen[-1].tokens > max_length:
        cut = _next_cut(cuts, chosen[-1], total, max_length)
        if cut is cuts[-1]:  # a single character that takes more than `max_length` tokens
            break
        chosen.append(cut)
    bounds = [*(cut.position for cut in chosen), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


def _atoms(text: str, max_length: int, count_tokens: Callable[[Sequence[str]], list[int]]) -> list[str]:
    """Return the pieces of a text that are not cut; those longer than a part are cut into equal lengths."""
    atoms: list[str] = []
    found = ATOM.findall(text)
    for atom, tokens in zip(found, count_tokens(found), strict=True):
        size = max(1, len(atom) * max_length // (2 * max(tokens, 1))) if tokens > max_length else len(atom)
        atoms += [atom[start : start + size] for start in range(0, len(atom), size)]
    return atoms


def _rank(atom: str) -> int:
    end = atom.rstrip(SPACE)[-1:]
    return next((rank for rank, characters in enumerate(RANKS) if end and end in characters), len(RANKS))


def _next_cut(cuts: Sequence[Cut], last: Cut, total: int, max_length: int) -> Cut:
    """Return the cut that ends the part after `last`: near to equal length, at the best punctuation there is."""
    left = total - last.tokens
    parts = -(-left // max_length)
    ideal = last.tokens + left / parts
    first, end = (bisect_right(cuts, last.tokens + count, key=lambda cut: cut.tokens) for count in (0, max_length))
    possible = cuts[first : max(end, first + 1)]
    fewest = [cut for cut in possible if total - cut.tokens <= (parts - 1) * max_length] or possible[-1:]
    near = [cut for cut in fewest if abs(cut.tokens - ideal) <= BALANCE * left / parts]
    best = min((cut.rank for cut in near), default=None)
    return min((cut for cut in near or fewest if best in {None, cut.rank}), key=lambda cut: abs(cut.tokens - ideal))
