"""What a user should know of translations: which are cut, repeat themselves, are empty, copy their source …"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from s2s.decoding.translator import Translation

TIMES = 4  # that tokens in a row come one after the other before they count as a loop
LONGEST_LOOP = 8  # tokens in a row
SHORTEST = 8  # tokens of all repetitions together; "ha ha ha ha" is said
COPIED_WORDS = 3  # a copied name is right
UNKNOWN = 1 / 3  # of a source's tokens

DIAGNOSTICS = {
    "cut": "cut at the length limit (--max-ratio)",
    "loop": "repeating itself (--no-repeat-ngram)",
    "empty": "empty",
    "copy": "a copy of its source",
    "unknown": "of a source with many characters that the tokenizer has no tokens for",
    "split": "of an over-long line, which was split, translated in parts and joined again",
}


def diagnostics(source: str, translation: Translation) -> list[str]:
    """Return the names, in DIAGNOSTICS, of what is suspicious about a translation; none if the source is blank."""
    if not source.strip():
        return []
    odd = {
        "cut": translation.cut,
        "loop": loops(translation.tokens) and not loops(source.split()),
        "empty": not translation.text.strip(),
        "copy": translation.text.strip() == source.strip() and len(source.split()) >= COPIED_WORDS,
        "unknown": translation.unknown > UNKNOWN * translation.source_length,
        "split": translation.split,
    }
    return [name for name, is_so in odd.items() if is_so]


def loops(tokens: Sequence[Hashable]) -> bool:
    """Whether the same few tokens come several times one after the other."""
    for width in range(1, LONGEST_LOOP + 1):
        enough, repeated = max((TIMES - 1) * width, SHORTEST - width), 0
        for one, other in zip(tokens, tokens[width:], strict=False):
            repeated = repeated + 1 if one == other else 0
            if repeated >= enough:
                return True
    return False


@dataclass(slots=True)
class Diagnostics:
    """How many lines were translated, how many translations are odd and why, and which lines were not UTF-8."""

    lines: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    first_invalid: str = ""

    def add(self, source: str, translation: Translation) -> None:
        """Count a line."""
        self.lines += 1
        self.odd.update(diagnostics(source, translation))

    def add_invalid(self, where: str) -> None:
        """Count a line whose bad bytes were replaced."""
        self.invalid += 1
        self.first_invalid = self.first_invalid or where

    def warnings(self) -> list[str]:
        """Return one warning per kind of suspicious output."""
        counts = {f"not valid UTF-8, its bad bytes replaced; the first: {self.first_invalid}": self.invalid}
        counts |= {f"translation {words}": self.odd[name] for name, words in DIAGNOSTICS.items()}
        return [f"{count:,} of {self.lines:,} lines: {words}" for words, count in counts.items() if count]
