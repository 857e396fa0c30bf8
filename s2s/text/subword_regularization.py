"""Segmentations drawn at random (subword regularisation, Kudo 2018), the same ones for the same seed.

SentencePiece draws some, too, but since its version 0.2.2 others in each process, whatever the seed: a run that is
resumed would not be the one that was begun.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 32  # segmentations of a word that are drawn from
REMEMBERED = 2**14  # words; in a language that writes no spaces, whole sentences
WORD = re.compile("[^ ]+")  # no token goes beyond a word

Segmentations = tuple[list[list[int]], NDArray[np.float64]]  # and up to each the sum of the probabilities


class SubwordSampler:
    """Draws segmentations by a unigram model, word by word, with P(x)^alpha / Σ P^alpha (section 3.3)."""

    def __init__(self, processor: Any, alpha: float) -> None:
        """`processor`: SentencePiece's; `alpha`: from 0, where all are as likely, to 1, where P decides."""
        self._processor = processor
        self._alpha = alpha
        self._scores = np.array([processor.get_score(token) for token in range(processor.vocab_size())])
        self._remembered = lru_cache(REMEMBERED)(self._segmentations)

    def sample(self, texts: Sequence[str], seed: int) -> list[list[int]]:
        """Sample a segmentation of each text, without BOS and EOS."""
        words = [WORD.findall(text) for text in texts]
        draws = iter(np.random.default_rng(seed).random(sum(map(len, words))))
        return [[token for word in row for token in self._drawn(word, next(draws))] for row in words]

    def _drawn(self, word: str, draw: float) -> list[int]:
        candidates, sums = self._remembered(word)
        return candidates[int(np.searchsorted(sums, draw, side="right"))]

    def _segmentations(self, word: str) -> Segmentations:
        candidates = self._processor.nbest_encode_as_ids(word, MOST)
        logs = self._alpha * np.array([self._scores[tokens].sum() for tokens in candidates])
        weights = np.exp(logs - logs.max())
        sums = np.cumsum(weights)
        return candidates, sums / sums[-1]
