"""Subword regularization (Kudo 2018): sample segmentations, reproducibly for a seed.

SentencePiece's own sampling is not used: since version 0.2.2 it differs between processes in spite of its seed, so a
resumed run would not be exact.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NBEST = 32  # segmentations of a word to sample from
CACHED_WORDS = 2**14  # whole sentences in a language written without spaces
WORD = re.compile("[^ ]+")  # tokens do not span words

Segmentations = tuple[list[list[int]], NDArray[np.float64]]  # with cumulative probabilities


class SubwordSampler:
    """Samples segmentations by a unigram model, word by word, with P(x)^α / Σ P^α (Kudo 2018, section 3.3)."""

    def __init__(self, processor: Any, alpha: float) -> None:
        """Sample with `alpha` from 0 (uniform) to 1 (the model's probabilities), from a SentencePiece processor."""
        self._processor = processor
        self._alpha = alpha
        self._scores = np.array([processor.get_score(token) for token in range(processor.vocab_size())])
        self._cached_segmentations = lru_cache(CACHED_WORDS)(self._segmentations)

    def sample(self, texts: Sequence[str], seed: int) -> list[list[int]]:
        """Sample a segmentation of each text, without BOS and EOS."""
        words = [WORD.findall(text) for text in texts]
        draws = iter(np.random.default_rng(seed).random(sum(map(len, words))))
        return [[token for word in row for token in self._sample_word(word, next(draws))] for row in words]

    def _sample_word(self, word: str, draw: float) -> list[int]:
        candidates, sums = self._cached_segmentations(word)
        return candidates[int(np.searchsorted(sums, draw, side="right"))]

    def _segmentations(self, word: str) -> Segmentations:
        candidates = self._processor.nbest_encode_as_ids(word, NBEST)
        logs = self._alpha * np.array([self._scores[tokens].sum() for tokens in candidates])
        weights = np.exp(logs - logs.max())
        sums = np.cumsum(weights)
        return candidates, sums / sums[-1]
