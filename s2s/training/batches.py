"""Training batches: which examples each update trains on, as tokens."""

from typing import cast

from s2s.data.batching import Rows, plan_batches
from s2s.data.sources import Image, Sentences, Sources
from s2s.data.split import Split
from s2s.recipe.recipe import Recipe
from s2s.recipe.training import TrainingOptions
from s2s.text.subword_regularization import SubwordSampler
from s2s.text.tokenizer import Tokenizer
from s2s.training.augmentation import augmented
from s2s.training.examples import Examples
from s2s.training.mixing import Mixture

AUGMENT = 3  # random stream of an epoch, apart from those of its examples


class TrainingBatches:
    """The batches of each epoch, a pure function of seed, epoch and position."""

    def __init__(self, split: Split, tokenizer: Tokenizer, recipe: Recipe) -> None:
        self.split = split
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.mixture = Mixture(split.dataset_numbers, recipe.data, recipe.training.seed)
        self._sampler = _sampler(tokenizer, recipe.training)
        self._epoch = -1
        self._examples: Examples
        self._batches: list[Rows]

    def examples(self, epoch: int) -> Examples:
        """Return the examples of an epoch."""
        self._plan(epoch)
        return self._examples

    def of_epoch(self, epoch: int) -> list[Rows]:
        """Return the batches of an epoch as rows of its examples, in training order."""
        self._plan(epoch)
        return self._batches

    def pairs(self, epoch: int, index: int) -> tuple[Sources, Sentences]:
        """Return the sources and targets of a batch as tokens; the sources may be images instead."""
        sources, targets = self.examples(epoch).encoded(self._batches[index])
        options = self.recipe.training
        if self.recipe.data.image_size and options.augments_images:
            sources = augmented(cast(list[Image], sources), options, [options.seed, epoch, AUGMENT, index])
        return sources, targets

    def places(self, epoch: int, index: int) -> list[str]:
        """Return `file:line` of the pairs of a batch."""
        return self.examples(epoch).places(self._batches[index])

    def _plan(self, epoch: int) -> None:
        """Build the examples and batches of an epoch, unless they are those of the last call."""
        if epoch == self._epoch:
            return
        options = self.recipe.training
        rows = self.mixture.rows(epoch)
        self._examples = Examples(self.split, rows, self.tokenizer, self._sampler, self.recipe, epoch)
        lengths = self._examples.source_lengths, self._examples.target_lengths
        self._batches = plan_batches(*lengths, options.batch_tokens, options.seed, epoch)
        self._epoch = epoch


def _sampler(tokenizer: Tokenizer, options: TrainingOptions) -> SubwordSampler | None:
    """Return the sampler of segmentations; None if texts are always segmented alike."""
    if options.subword_regularization:
        return tokenizer.unigram_sampler(options.subword_regularization)
    return tokenizer.bpe_sampler(options.bpe_dropout) if options.bpe_dropout else None
