"""Subword regularization: sample segmentations, reproducibly for a seed.

SentencePiece's own sampling is not used: since version 0.2.2 it differs between processes in spite of its seed, so a
resumed run would not be exact.

n: characters of a word, its mark `▁` included, or of a part of one before or after a user symbol.
"""

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import exp, log
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.text.tokenizer import UNK
from s2s.text.user_symbols import UserSymbols

NBEST = 32  # segmentations of a short word to sample from
LONG_WORD = 25  # characters, `▁` included, from which a word is sampled from the lattice of all its segmentations
CACHED_WORDS = 2**14
WORD = re.compile("[^ ▁]+")  # tokens do not span words
UNKNOWN_PENALTY = 10.0  # an unknown character's score is this much below the lowest one, as in SentencePiece

Segmentations = tuple[list[list[int]], NDArray[np.float64]]  # with cumulative probabilities
Edge = tuple[int, list[int]]  # where a token starts, and its ids: several if it is written in bytes
Lattice = list[tuple[list[Edge], list[float]]]  # for each end from 1 to n: edges and their cumulative probabilities


class SubwordSampler(ABC):
    """Samples segmentations of texts, word by word. User symbols stay whole."""

    def __init__(self, symbols: UserSymbols) -> None:
        """Sample from the model that has these user symbols."""
        self._symbols = symbols
        self._processor: Any = symbols.processor
        processor = self._processor
        normal = [token for token in range(processor.vocab_size()) if self._is_normal(token)]
        self._tokens = {processor.id_to_piece(token): token for token in normal}

    def sample(self, texts: Sequence[str], seed: int | Sequence[int]) -> list[list[int]]:
        """Sample a segmentation of each text, without BOS and EOS."""
        words = [WORD.findall(text) for text in texts]
        draws = iter(np.random.default_rng(seed).random(sum(map(len, words))).tolist())
        sample = self._sample_between_symbols if self._symbols.tokens else self._sample_word
        return [[token for word in row for token in sample(f"▁{word}", next(draws))] for row in words]

    def _sample_between_symbols(self, word: str, draw: float) -> list[int]:
        """Sample a segmentation of each part of a word that is no symbol, given a random number from 0 to 1."""
        if not self._symbols.occur_in(word):
            return self._sample_word(word, draw)
        random, known = Random(draw), self._symbols.tokens
        return [
            token
            for part in self._symbols.split(word)
            for token in ([known[part]] if part in known else self._sample_word(part, random.random()))
        ]

    @abstractmethod
    def _sample_word(self, word: str, draw: float) -> list[int]:
        """Sample a segmentation of a word, or part of one, without symbols, given a random number from 0 to 1."""

    def _character(self, character: str) -> list[int]:
        """Return the ids of an unknown character: its bytes, or UNK."""
        byte_tokens = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in character.encode()]
        return [UNK] if UNK in byte_tokens else byte_tokens

    def _is_normal(self, token: int) -> bool:
        tests = (self._processor.is_control, self._processor.is_unknown, self._processor.is_byte)
        special = any(test(token) for test in (*tests, self._processor.is_unused))
        return not special and self._processor.id_to_piece(token) not in self._symbols.tokens


class UnigramSampler(SubwordSampler):
    """Samples by a unigram model with P(x)^α / Σ P^α (Kudo 2018, section 3.3).

    A short word's 32 best segmentations stand for all of them; those of a long one, such as a sentence in a language
    without spaces, are sampled from their lattice.
    """

    def __init__(self, symbols: UserSymbols, alpha: float) -> None:
        """Sample with `alpha` from 0 (uniform) to 1 (the model's probabilities)."""
        super().__init__(symbols)
        processor = self._processor
        self._alpha = alpha
        self._scores = np.array([processor.get_score(token) for token in range(processor.vocab_size())])
        known = [self._scores[token] for token in self._tokens.values()]
        self._unknown_score = float(min(known, default=0.0)) - UNKNOWN_PENALTY
        self._longest = max(map(len, self._tokens), default=1)
        self._cached_segmentations = lru_cache(CACHED_WORDS)(self._segmentations)
        self._cached_lattice = lru_cache(CACHED_WORDS)(self._lattice)

    def _sample_word(self, word: str, draw: float) -> list[int]:
        if len(word) >= LONG_WORD:
            return self._sample_path(self._cached_lattice(word), Random(draw))
        candidates, sums = self._cached_segmentations(word)
        return candidates[int(np.searchsorted(sums, draw, side="right"))]

    def _segmentations(self, word: str) -> Segmentations:
        candidates = self._processor.nbest_encode_as_ids(word, NBEST)
        logs = self._alpha * np.array([self._scores[tokens].sum() for tokens in candidates])
        weights = np.exp(logs - logs.max())
        sums = np.cumsum(weights)
        return candidates, sums / sums[-1]

    def _lattice(self, word: str) -> Lattice:
        """Return the tokens that may end at each character, with the probabilities of sampling them from the end on.

        Forward filtering: the probability of a token is α times its score, plus the logarithm of the weights of all
        segmentations of what is before it.
        """
        totals = [0.0]
        lattice: Lattice = []
        for end in range(1, len(word) + 1):
            edges: list[Edge] = []
            logs: list[float] = []
            for start in range(max(0, end - self._longest), end):
                token = self._tokens.get(word[start:end])
                if token is not None:
                    edges.append((start, [token]))
                    logs.append(totals[start] + self._alpha * float(self._scores[token]))
            if word[end - 1] not in self._tokens:
                edges.append((end - 1, self._character(word[end - 1])))
                logs.append(totals[end - 1] + self._alpha * self._unknown_score)
            highest = max(logs)
            sums = list(accumulate(exp(value - highest) for value in logs))
            totals.append(highest + log(sums[-1]))
            lattice.append((edges, [total / sums[-1] for total in sums]))
        return lattice

    def _sample_path(self, lattice: Lattice, random: Random) -> list[int]:
        """Sample a path through a lattice, from its end to its start."""
        tokens: list[list[int]] = []
        end = len(lattice)
        while end:
            edges, sums = lattice[end - 1]
            end, ids = edges[min(bisect_right(sums, random.random()), len(edges) - 1)]
            tokens.append(ids)
        return _with_merged_unknowns(token for ids in reversed(tokens) for token in ids)


class BPESampler(SubwordSampler):
    """BPE-dropout: at each step, each possible merge is left out with a probability (Provilkov et al. 2020)."""

    def __init__(self, symbols: UserSymbols, dropout: float) -> None:
        """Sample with the probability `dropout` of leaving out a merge."""
        super().__init__(symbols)
        self._dropout = dropout
        self._ranks = {token: -self._processor.get_score(number) for token, number in self._tokens.items()}

    def _sample_word(self, word: str, draw: float) -> list[int]:
        random, symbols = Random(draw), list(word)
        while True:
            merges = [
                (rank, index)
                for index in range(len(symbols) - 1)
                if (rank := self._ranks.get(symbols[index] + symbols[index + 1])) is not None
                and random.random() >= self._dropout
            ]
            if not merges:
                break
            _, index = min(merges)
            symbols[index : index + 2] = [symbols[index] + symbols[index + 1]]
        ids = ([self._tokens[one]] if one in self._tokens else self._character(one) for one in symbols)
        return _with_merged_unknowns(token for tokens in ids for token in tokens)


def _with_merged_unknowns(tokens: Iterable[int]) -> list[int]:
    """Return tokens with one UNK for several in a row, as SentencePiece encodes unknown characters."""
    merged: list[int] = []
    for token in tokens:
        if not (token == UNK and merged and merged[-1] == UNK):
            merged.append(token)
    return merged
