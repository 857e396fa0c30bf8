"""How well a tokenizer fits a text: tokens per word and character, unknown tokens, and the characters it knows.

V: vocabulary size.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.text.scripts import kind_of
from s2s.text.tokenizer import Tokenizer

MISSING = 10  # characters named per script
MAX_SPACE = 0x3000  # the last white space of Unicode


@dataclass(frozen=True, slots=True)
class ScriptCoverage:
    """How many characters of a script a tokenizer knows."""

    characters: int  # in the text
    covered: int  # of them, those that occur in the vocabulary
    missing: list[str]  # the most frequent others


@dataclass(frozen=True, slots=True)
class Fertility:
    """How many tokens a text takes, and what of it the tokenizer does not know."""

    texts: int
    words: int  # separated by white space
    characters: int  # white space excluded
    tokens: int  # BOS and EOS excluded
    unknown: int  # UNK and byte tokens
    scripts: Mapping[str, ScriptCoverage]  # by script, the most frequent one first

    @property
    def tokens_per_word(self) -> float:
        """Tokens per word; 0 without words."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def tokens_per_character(self) -> float:
        """Tokens per character, white space excluded; 0 without characters."""
        return self.tokens / self.characters if self.characters else 0.0

    @property
    def unknown_rate(self) -> float:
        """Share of UNK and byte tokens."""
        return self.unknown / self.tokens if self.tokens else 0.0


class FertilityCounter:
    """Counts words, characters and tokens of texts, in constant memory.

    `uses` [V] has the number of times each token occurs.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Count what `tokenizer` makes of texts."""
        self._tokenizer = tokenizer
        self._texts = self._words = 0
        self._characters = np.zeros(sys.maxunicode + 1, np.int64)
        self._is_space = np.zeros(sys.maxunicode + 1, bool)
        self._is_space[[code for code in range(MAX_SPACE + 1) if chr(code).isspace()]] = True
        self.uses: NDArray[np.int64] = np.zeros(tokenizer.size, np.int64)

    def add(self, texts: Sequence[str], ids: NDArray[np.integer[Any]]) -> None:
        """Count texts, normalized, and the token ids of all of them, without BOS and EOS."""
        self._texts += len(texts)
        codes = np.frombuffer("\n".join(["", *texts]).encode("utf-32-le", "surrogatepass"), np.uint32)
        is_space = self._is_space.take(codes)
        self._words += int((is_space[:-1] & ~is_space[1:]).sum())
        found = np.bincount(codes, minlength=1)
        self._characters[: len(found)] += found
        self.uses += np.bincount(ids, minlength=len(self.uses))

    def counts(self) -> dict[str, Any]:
        """Return what was counted, as JSON values."""
        return {
            "texts": self._texts,
            "words": self._words,
            "characters": {str(code): int(self._characters[code]) for code in np.flatnonzero(self._characters)},
            "tokens": self.uses.tolist(),
        }

    def merge(self, counts: Mapping[str, Any]) -> None:
        """Add the `counts` of another counter with the same tokenizer."""
        self._texts += counts["texts"]
        self._words += counts["words"]
        for code, count in counts["characters"].items():
            self._characters[int(code)] += count
        self.uses += np.array(counts["tokens"], dtype=np.int64)

    def result(self) -> Fertility:
        """Return the figures of all texts."""
        seen = np.flatnonzero((self._characters > 0) & ~self._is_space)
        counts = {chr(code): int(self._characters[code]) for code in seen}
        tokens = self._tokenizer
        return Fertility(
            texts=self._texts,
            words=self._words,
            characters=sum(counts.values()),
            tokens=int(self.uses.sum()),
            unknown=int(self.uses[sorted(tokens.fallback_tokens)].sum()),
            scripts=_coverage(counts, tokens.characters()),
        )


def _coverage(counts: Mapping[str, int], known: frozenset[str]) -> dict[str, ScriptCoverage]:
    """Return the coverage per script of characters with their counts."""
    scripts: dict[str, dict[str, int]] = {}
    for character, count in sorted(counts.items(), key=lambda item: -item[1]):
        scripts.setdefault(kind_of(character), {})[character] = count
    found = {
        script: ScriptCoverage(
            characters=sum(of_script.values()),
            covered=sum(count for character, count in of_script.items() if character in known),
            missing=[character for character in of_script if character not in known][:MISSING],
        )
        for script, of_script in scripts.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].characters))
