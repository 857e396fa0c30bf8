"""Random changes to the texts of a pair: case, final punctuation and typing errors.

Placeholders, tags, entities and user symbols keep their case and letters.

B: pairs.
"""

import re
import unicodedata
from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from s2s.recipe.augmentation import AugmentationOptions
from s2s.recipe.languages import primary_language
from s2s.text.lines import Texts
from s2s.text.placeholders import PLACEHOLDER

Spans = Sequence[tuple[int, int]]  # where parts of a text start and end

DRAWS = 4  # random numbers for a pair: for its case, its final punctuation, its typing errors, and the seed of those
FINAL_PUNCTUATION = ".!?…。！？．｡।॥؟۔։"
WORD_START = re.compile(r"""(?<![^\s"“”„‘‚«»‹›()\[¿¡>])[^\W\d_]""")  # after `>`: of a tag
DOTTED_I = {"tr", "az"}  # languages whose i has a dot in upper case, too
GEORGIAN = {0x1C90 + index: 0x10D0 + index for index in range(48)}  # its capitals are hardly used
KEYBOARDS = (
    "qwertyuiop asdfghjkl zxcvbnm",
    "йцукенгшщзхъ фывапролджэ ячсмитьбю",
    "ςερτυθιοπ ασδφγηξκλ ζχψωβνμ",
)
NEIGHBOURS = {
    letter: row[max(index - 1, 0) : index] + row[index + 1 : index + 2]
    for keyboard in KEYBOARDS
    for row in keyboard.split()
    for index, letter in enumerate(row)
}


class TextAugmenter:
    """Changes the texts of pairs as random numbers decide."""

    def __init__(self, options: AugmentationOptions, languages: tuple[str, str], symbols: Sequence[str] = ()) -> None:
        """Take the language codes of source and target, and the user symbols of their tokenizer."""
        self._options = options
        self._languages = tuple(map(primary_language, languages))
        longest_first = sorted(symbols, key=len, reverse=True)
        self._kept = re.compile("|".join([*map(re.escape, longest_first), PLACEHOLDER.pattern]), re.VERBOSE)
        self._kept_characters = {*"%{<&", *(symbol[0] for symbol in symbols)}

    def changes(self, draws: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether random numbers [B, DRAWS] from 0 to 1 decide to change a pair [B]."""
        options = self._options
        shares = options.upper_case + options.title_case, options.no_final_punctuation, options.typos
        return np.any(draws[:, : len(shares)] < shares, axis=1)

    def __call__(self, texts: Texts, draws: Sequence[float]) -> Texts:
        """Return a source and target as changed by DRAWS random numbers from 0 to 1."""
        options = self._options
        case, punctuation, typos, seed = draws
        if punctuation < options.no_final_punctuation:
            texts = without_final_punctuation(*texts)
        source, target = texts
        if case < options.upper_case + options.title_case:
            change = upper_case if case < options.upper_case else title_case
            source = change(source, self._changeable(source), self._languages[0])
            target = change(target, self._changeable(target), self._languages[1])
        if typos < options.typos:
            source = with_typos(source, self._changeable(source), options.typo_rate, Random(seed))
        return source, target

    def _changeable(self, text: str) -> Spans:
        """Return the parts of a text between its placeholders and symbols."""
        if self._kept_characters.isdisjoint(text):
            return [(0, len(text))]
        kept = [found.span() for found in self._kept.finditer(text)]
        return list(zip([0, *(end for _, end in kept)], [*(start for start, _ in kept), len(text)], strict=True))


def upper_case(text: str, changeable: Spans, language: str) -> str:
    """Return a text whose changeable parts are in the upper case of a language, given its code of two letters.

    Georgian stays as it is.
    """
    parts, done = [], 0
    for start, end in changeable:
        part = text[start:end].replace("i", "İ") if language in DOTTED_I else text[start:end]
        parts += [text[done:start], part.upper().translate(GEORGIAN)]
        done = end
    return "".join(parts) + text[done:]


def title_case(text: str, changeable: Spans, language: str) -> str:
    """Return a text whose words, in its changeable parts, start with a capital of a language, given its code."""
    characters = list(text)
    for part in changeable:
        for found in WORD_START.finditer(text, *part):
            letter = found.group()
            characters[found.start()] = "İ" if letter == "i" and language in DOTTED_I else letter.title()
    return "".join(characters)


def without_final_punctuation(source: str, target: str) -> Texts:
    """Return a source and target without the punctuation at their end; unchanged unless both have some."""
    texts = source.rstrip(), target.rstrip()
    shortened = tuple(text.rstrip(f"{FINAL_PUNCTUATION} \u00a0\u202f") for text in texts)
    both = all(text.endswith(tuple(FINAL_PUNCTUATION)) for text in texts)
    return (shortened[0], shortened[1]) if both and all(shortened) else (source, target)


def with_typos(text: str, changeable: Spans, rate: float, random: Random) -> str:
    """Return a text with typing errors in its changeable parts: `rate` per letter, at least one if there is a letter.

    Letters that carry combining marks are spared.
    """
    letters = [at for start, end in changeable for at in range(start, end) if _is_plain_letter(text, at)]
    if not letters:
        return text
    count = max(1, sum(random.random() < rate for _ in letters))
    changeable_letters, characters = set(letters), list(text)
    for at in random.sample(letters, count):
        before, after = (at + step in changeable_letters for step in (-1, 1))
        _add_typo(characters, at, after, before or after, random)
    return "".join(characters)


def _is_plain_letter(text: str, at: int) -> bool:
    following = text[at + 1 : at + 2]
    return text[at].isalpha() and (following.isascii() or unicodedata.category(following)[0] != "M")


def _add_typo(characters: list[str], at: int, swappable: bool, droppable: bool, random: Random) -> None:
    """Change the letter at a position; double it if it cannot be swapped with the next one, dropped or replaced."""
    kind, letter = random.choice(("swap", "drop", "double", "replace")), characters[at]
    if kind == "swap" and swappable and characters[at + 1] != letter:
        characters[at : at + 2] = characters[at + 1], letter
    elif kind == "drop" and droppable:
        characters[at] = ""
    elif kind == "replace" and (candidates := _neighbours(letter)):
        characters[at] = random.choice(candidates)
    else:
        characters[at] = letter + letter


def _neighbours(letter: str) -> str:
    """Return the letters beside one on the keyboard, or the one without its accent; empty if there are none."""
    near = NEIGHBOURS.get(letter.lower(), "")
    if not near and len(letter) == 1:
        parts = unicodedata.normalize("NFD", letter)
        return parts[0] if len(parts) > 1 and unicodedata.combining(parts[1]) else ""
    return near.upper() if letter.isupper() else near
