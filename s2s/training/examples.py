"""The training examples of an epoch: pairs of the corpus, perhaps joined, changed at random, or segmented anew.

N: pairs of an epoch, M ≤ N: its examples.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from s2s.data.batching import Rows
from s2s.data.sources import Sentences, Sources
from s2s.data.split import Split
from s2s.recipe.data import parts_of
from s2s.recipe.image_size import ImageSize
from s2s.recipe.languages import primary_language
from s2s.recipe.recipe import Recipe
from s2s.text.augmentation import DRAWS, TextAugmenter
from s2s.text.lines import Texts, normalize
from s2s.text.sentences import NO_SPACES
from s2s.text.subword_regularization import SubwordSampler
from s2s.text.tokenizer import UNK, Tokenizer
from s2s.training.merging import merged_rows

log = logging.getLogger(__name__)

MAX_LEFT_OUT = 0.1  # of the changes, without a warning
GROUP = 4096  # examples that are segmented together
MERGE, SEGMENT, CHANGE = 1, 2, 4  # random streams of an epoch, apart from those of its order and of its images


Tokens: TypeAlias = Sequence[int] | NDArray[np.int32]  # of a text


@dataclass(frozen=True, slots=True)
class Lists:
    """M lists of integers: of the tokens of a text, or of the rows of an example."""

    values: NDArray[np.integer[Any]]  # of all lists
    ends: NDArray[np.int64]  # [M]

    @classmethod
    def of_tokens(cls, texts: Iterable[Tokens]) -> "Lists":
        """Take the tokens of each text."""
        arrays = [np.asarray(text, dtype=np.int32) for text in texts]
        return cls(np.concatenate(arrays), np.cumsum([len(array) for array in arrays]))

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Length of each list [M]."""
        return np.diff(self.ends, prepend=0).astype(np.int32)

    def take(self, rows: Rows) -> list[NDArray[Any]]:
        """Return some of the lists."""
        starts = np.where(rows > 0, self.ends[rows - 1], 0)
        return [self.values[start:end] for start, end in zip(starts, self.ends[rows], strict=True)]


class Examples:
    """The examples of one epoch: a pure function of the corpus, the recipe and the epoch.

    Each pair is an example on its own or joined with others. Lengths are those of the changed texts and of the sampled
    tokens.
    """

    def __init__(
        self,
        split: Split,
        rows: Rows,
        tokenizer: Tokenizer,
        sampler: SubwordSampler | None,
        recipe: Recipe,
        epoch: int,
    ) -> None:
        """Take the `rows` [N] of the pairs; those that occur again come after all others."""
        self._split = split
        self._recipe = recipe
        self._seed = (recipe.training.seed, epoch)
        self._tokenizer = tokenizer
        data = recipe.data
        languages = [(part.source_language, part.target_language) for part in parts_of(data)]
        self._spaces = [tuple("" if primary_language(one) in NO_SPACES else " " for one in both) for both in languages]
        self._tags = [f"{tag} " if tag else "" for tag in data.tags]
        symbols = tokenizer.tokens(sorted(tokenizer.user_tokens))
        self._augmenters = [TextAugmenter(data.augmentation, both, symbols) for both in languages]
        self._datasets = split.dataset_numbers
        merging = np.random.default_rng([*self._seed, MERGE])
        self._pairs = Lists(*merged_rows(split, rows, data.augmentation, data.max_length, merging))
        self._changed = self._left_out = 0  # changes of texts that were drawn, and those that were not made
        self._sources: Lists | None = None
        self._targets: Lists | None = None
        if sampler or data.augmentation.changes_texts or data.augmentation.merge:
            self._sources, self._targets = self._tokenize(sampler)

    @property
    def source_lengths(self) -> NDArray[np.int32]:
        """Number of tokens in each source [M], without special tokens; of an image, those that it counts as."""
        return self._sources.lengths if self._sources else self._split.source_lengths[self._pairs.values]

    @property
    def target_lengths(self) -> NDArray[np.int32]:
        """Number of tokens in each target [M], without special tokens."""
        return self._targets.lengths if self._targets else self._split.target_lengths[self._pairs.values]

    @property
    def image_size(self) -> ImageSize | None:
        """Height and width of the sources if they are images."""
        return self._recipe.data.image_size

    def encoded(self, rows: Rows) -> tuple[Sources, Sentences]:
        """Return the sources and targets of some examples as tokens; the sources may be images instead."""
        if self._targets is None:
            return self._split.encoded(self._pairs.values[rows])
        sources = self._sources.take(rows) if self._sources else self._split.encoded(self._pairs.values[rows])[0]
        return sources, self._targets.take(rows)

    def places(self, rows: Rows) -> list[str]:
        """Return `file:line` of the pairs of some examples."""
        return self._split.places(np.concatenate(self._pairs.take(rows)))

    def _tokenize(self, sampler: SubwordSampler | None) -> tuple[Lists | None, Lists]:
        """Segment the sources, unless they are images, and targets of all examples: sample if there is a sampler."""
        sources: list[Tokens] = []
        targets: list[Tokens] = []
        count = len(self._pairs.ends)
        for group, start in enumerate(range(0, count, GROUP)):
            rows = np.arange(start, min(start + GROUP, count))
            found = self._tokens(rows, group) if sampler is None else self._sampled(rows, group, sampler)
            sources += found[0]
            targets += found[1]
        if self._left_out > MAX_LEFT_OUT * self._changed and self._seed[1] == 0:
            log.warning(
                "data.augmentation: %s of %s changes are left out, since the texts would be longer than %s tokens or "
                "have characters that the tokenizer does not know",
                *(f"{count:,}" for count in (self._left_out, self._changed, self._recipe.data.max_length)),
            )
        return None if self.image_size else Lists.of_tokens(sources), Lists.of_tokens(targets)

    def _sampled(self, rows: Rows, group: int, sampler: SubwordSampler) -> tuple[Sentences, Sentences]:
        """Sample the segmentations of a group of examples; no sources if they are images."""
        sources, targets = self._unchanged_texts(rows)
        for index, texts, _ in self._changes(rows, group):
            sources[index], targets[index] = texts
        tokens = sampler.sample(targets if self.image_size else [*sources, *targets], [*self._seed, SEGMENT, group])
        return tokens[: -len(rows)], tokens[-len(rows) :]

    def _tokens(self, rows: Rows, group: int) -> tuple[Sentences, Sentences]:
        """Return the tokens of a group of examples; segment only those that differ from the corpus."""
        pairs = self._pairs.take(rows)
        known = cast(tuple[Sentences, Sentences], self._split.encoded([int(pair[0]) for pair in pairs]))
        sources, targets = map(list, known)
        joined = [index for index, pair in enumerate(pairs) if len(pair) > 1]
        for side, texts in zip((sources, targets), self._unchanged_texts(rows[joined]), strict=True):
            for index, tokens in zip(joined, self._tokenizer.encode(texts), strict=True):
                side[index] = tokens
        for index, _, (source, target) in self._changes(rows, group):
            sources[index], targets[index] = source, target
        return sources, targets

    def _changes(self, rows: Rows, group: int) -> Iterator[tuple[int, Texts, tuple[list[int], list[int]]]]:
        """Yield index, texts and tokens of each example of a group whose texts are changed.

        A change is left out if it made a side longer than `data.max_length`, or unknown to the tokenizer.
        """
        form, max_length = self._recipe.data.normalization, self._recipe.data.max_length
        draws = np.random.default_rng([*self._seed, CHANGE, group]).random((len(rows), DRAWS))
        changed = np.flatnonzero(self._augmenters[0].changes(draws))
        unchanged = zip(*self._unchanged_texts(rows[changed]), strict=True)
        datasets = [self._datasets[pair[0]] for pair in self._pairs.take(rows[changed])]
        drawn = zip(datasets, unchanged, draws[changed].tolist(), strict=True)
        pairs = [self._augmenters[dataset](texts, row) for dataset, texts, row in drawn]
        texts = [(normalize(source, form), normalize(target, form)) for source, target in pairs]
        sides = [self._tokenizer.encode([pair[side] for pair in texts]) for side in (0, 1)]
        self._changed += len(changed)
        for index, pair, source, target in zip(changed.tolist(), texts, *sides, strict=True):
            if max(len(source), len(target)) <= max_length and UNK not in source and UNK not in target:
                yield index, pair, (source, target)
            else:
                self._left_out += 1

    def _unchanged_texts(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Return the sources and targets of some examples as text, those of several pairs joined; tags occur once."""
        pairs = self._pairs.take(rows)
        if not pairs:
            return [], []
        texts = iter(zip(*self._split.texts(np.concatenate(pairs)), strict=True))
        sources, targets = [], []
        for pair in pairs:
            dataset = self._datasets[pair[0]]
            (source, target), *others = islice(texts, len(pair))
            source_space, target_space = self._spaces[dataset]
            untagged = (other.removeprefix(self._tags[dataset]) for other, _ in others)
            sources.append(source_space.join([source, *untagged]))
            targets.append(target_space.join([target, *(other for _, other in others)]))
        return sources, targets
