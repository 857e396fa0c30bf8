"""What a vocabulary consists of, and how it fits a text."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any, Literal

import numpy as np

from s2s.errors import DataError
from s2s.text.fertility import Fertility, FertilityCounter
from s2s.text.sentencepiece_model import algorithm
from s2s.text.tokenizer import BOS, EOS, PAD, UNK, Tokenizer

Kind = Literal["special", "user symbols", "bytes", "characters", "starts of words", "other parts of words"]
KINDS: tuple[Kind, ...] = ("special", "user symbols", "bytes", "characters", "starts of words", "other parts of words")
FEW = 10  # tokens named
TEXTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A vocabulary's size, algorithm and tokens."""

    size: int
    algorithm: str  # unigram, bpe, char or word
    kinds: Mapping[Kind, int]  # tokens of each kind
    longest: tuple[str, ...]  # FEW of starts and other parts of words, the longest first


def describe_vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """Return what a tokenizer's vocabulary consists of."""
    kinds = token_kinds(tokenizer)
    tokens = zip(tokenizer.tokens(range(tokenizer.size)), kinds, strict=True)
    parts = [token for token, kind in tokens if kind in KINDS[-2:]]
    return Vocabulary(
        size=tokenizer.size,
        algorithm=algorithm(tokenizer.model),
        kinds={kind: kinds.count(kind) for kind in KINDS},
        longest=tuple(sorted(parts, key=lambda token: (-len(token), token))[:FEW]),
    )


def token_kinds(tokenizer: Tokenizer) -> list[Kind]:
    """Return the kind of each token. Characters are single ones, `▁` included; starts of words begin with `▁`."""
    kinds: list[Kind] = [
        "characters" if len(token) == 1 else "starts of words" if token.startswith("▁") else "other parts of words"
        for token in tokenizer.tokens(range(tokenizer.size))
    ]
    special: dict[int, Kind] = dict.fromkeys((PAD, UNK, BOS, EOS), "special")
    special |= dict.fromkeys(tokenizer.fallback_tokens - {UNK}, "bytes")
    special |= dict.fromkeys(tokenizer.user_tokens, "user symbols")
    for token, kind in special.items():
        kinds[token] = kind
    return kinds


@dataclass(frozen=True, slots=True)
class Fit:
    """How a vocabulary fits a text."""

    vocabulary: Vocabulary
    fertility: Fertility
    least_used: Mapping[str, int]  # FEW of the tokens that occur, and how often; special tokens and bytes excluded
    unused: int  # tokens that never occur, special ones and bytes excluded

    def as_dict(self) -> dict[str, Any]:
        """Return the figures of the text for JSON."""
        figures = self.fertility
        return {
            **asdict(figures),
            "tokens_per_word": figures.tokens_per_word,
            "tokens_per_character": figures.tokens_per_character,
            "unknown_rate": figures.unknown_rate,
            "unused": self.unused,
            "least_used": dict(self.least_used),
        }


def fit_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> Fit:
    """Return how a tokenizer fits normalized texts, in constant memory. Raises DataError if there are none."""
    counter, remaining = FertilityCounter(tokenizer), iter(texts)
    while chunk := list(islice(remaining, TEXTS_AT_ONCE)):
        ids = tokenizer.encode(chunk)
        counter.add(chunk, np.fromiter(chain.from_iterable(ids), np.int64))
    fertility = counter.result()
    if not fertility.texts:
        raise DataError("there is no text to count the tokens of")
    kinds = enumerate(token_kinds(tokenizer))
    uses = [(int(counter.uses[token]), token) for token, kind in kinds if kind not in {"special", "bytes"}]
    least = sorted((count, token) for count, token in uses if count)[:FEW]
    names = tokenizer.tokens([token for _, token in least])
    return Fit(
        vocabulary=describe_vocabulary(tokenizer),
        fertility=fertility,
        least_used={name: count for name, (count, _) in zip(names, least, strict=True)},
        unused=sum(not count for count, _ in uses),
    )
