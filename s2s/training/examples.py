"""The training examples of an epoch: the corpus's pairs, perhaps segmented anew, perhaps joined two by two.

N: pairs of the corpus, M ≤ N: examples of an epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2s.data.batching import Rows
from s2s.data.corpus import Split
from s2s.data.sources import Sentences, Sources
from s2s.recipe.data import ImageSize, primary_language
from s2s.recipe.recipe import Recipe
from s2s.text.sentences import NO_SPACES
from s2s.text.subword_regularization import SubwordSampler
from s2s.text.tokenizer import Tokenizer

GROUP = 4096  # examples that are segmented together
JOIN, SEGMENT = 1, 2  # random streams of an epoch, apart from that of its order
ALONE = -1  # in place of the row of a second pair


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The tokens of M texts."""

    tokens: NDArray[np.int32]  # of all texts
    ends: NDArray[np.int64]  # [M]

    @classmethod
    def of(cls, texts: Iterable[Sequence[int]]) -> "TokenTable":
        """Build a table from the tokens of each text."""
        arrays = [np.asarray(text, dtype=np.int32) for text in texts]
        return cls(np.concatenate(arrays), np.cumsum([len(array) for array in arrays]))

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Number of tokens of each text [M]."""
        return np.diff(self.ends, prepend=0).astype(np.int32)

    def of_rows(self, rows: Rows) -> list[NDArray[np.int32]]:
        """Return the tokens of some texts."""
        starts = np.where(rows > 0, self.ends[rows - 1], 0)
        return [self.tokens[start:end] for start, end in zip(starts, self.ends[rows], strict=True)]


class Examples:
    """The examples of one epoch: a pure function of the corpus, the recipe and the epoch.

    Each pair occurs once, on its own or joined with another one (Nguyen, Murray and Chiang 2021). With sampled
    segmentations, lengths are those of the sampled tokens.
    """

    def __init__(
        self, split: Split, tokenizer: Tokenizer, sampler: SubwordSampler | None, recipe: Recipe, epoch: int
    ) -> None:
        self._split = split
        self._recipe = recipe
        self._seed = (recipe.training.seed, epoch)
        self._first, self._second = self._pairs()
        self._sources: TokenTable | None = None
        self._targets: TokenTable | None = None
        if sampler or recipe.data.concatenate:
            self._sources, self._targets = self._tokenize(tokenizer, sampler)

    @property
    def source_lengths(self) -> NDArray[np.int32]:
        """Number of tokens in each source [M], without special tokens; of an image, those that it counts as."""
        return self._sources.lengths if self._sources else self._split.source_lengths

    @property
    def target_lengths(self) -> NDArray[np.int32]:
        """Number of tokens in each target [M], without special tokens."""
        return self._targets.lengths if self._targets else self._split.target_lengths

    @property
    def image_size(self) -> ImageSize | None:
        """Height and width of the sources if they are images."""
        return self._recipe.data.image_size

    def encoded(self, rows: Rows) -> tuple[Sources, Sentences]:
        """Return the sources and targets of some examples as tokens; the sources may be images instead."""
        if self._targets is None:
            return self._split.encoded(rows)
        sources = self._sources.of_rows(rows) if self._sources else self._split.encoded(rows)[0]
        return sources, self._targets.of_rows(rows)

    def texts(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Return the sources and targets of some examples as text."""
        texts = self._split.texts(self._first[rows])
        joined = np.flatnonzero(self._second[rows] != ALONE)
        others = self._split.texts(self._second[rows][joined])
        languages = self._recipe.data.source_language, self._recipe.data.target_language
        for side, more, language in zip(texts, others, languages, strict=True):
            space = "" if primary_language(language) in NO_SPACES else " "
            for index, text in zip(joined, more, strict=True):
                side[index] += space + text
        return texts

    def places(self, rows: Rows) -> list[str]:
        """Return `file:line` of the pairs of some examples."""
        pairs = np.concatenate([self._first[rows], self._second[rows]])
        return self._split.places(pairs[pairs != ALONE])

    def _pairs(self) -> tuple[Rows, Rows]:
        """Return the row of each example's first pair [M], and that of the second one or ALONE [M].

        A share `data.concatenate` of the examples are two pairs, fewer where a side would exceed `data.max_length`.
        """
        share, count = self._recipe.data.concatenate, len(self._split)
        order = np.random.default_rng([*self._seed, JOIN]).permutation(count) if share else np.arange(count)
        joined = int(share / (1 + share) * count)
        first, second, alone = np.split(order, [joined, 2 * joined])
        lengths = self._split.source_lengths, self._split.target_lengths
        fits = np.all([side[first] + side[second] <= self._recipe.data.max_length for side in lengths], axis=0)
        singles = np.concatenate([alone, first[~fits], second[~fits]])
        others = [second[fits], np.full_like(singles, ALONE)]
        return np.concatenate([first[fits], singles]), np.concatenate(others)

    def _tokenize(self, tokenizer: Tokenizer, sampler: SubwordSampler | None) -> tuple[TokenTable | None, TokenTable]:
        """Segment the sources, unless they are images, and targets of all examples: sample if there is a sampler."""
        of_images = self._recipe.data.image_size is not None
        sources: list[Sequence[int]] = []
        targets: list[Sequence[int]] = []
        for group, start in enumerate(range(0, len(self._first), GROUP)):
            rows = np.arange(start, min(start + GROUP, len(self._first)))
            source_texts, target_texts = self.texts(rows)
            texts, seed = [*([] if of_images else source_texts), *target_texts], [*self._seed, SEGMENT, group]
            tokens = tokenizer.encode(texts) if sampler is None else sampler.sample(texts, seed)
            sources += tokens[: -len(rows)]
            targets += tokens[-len(rows) :]
        return None if of_images else TokenTable.of(sources), TokenTable.of(targets)
