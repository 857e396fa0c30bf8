"""Training batches: which sentence pairs each update trains on, as tokens."""

import numpy as np

from s2s.data.batching import Rows, plan_batches
from s2s.data.collate import Sentences
from s2s.data.corpus import Split
from s2s.recipe.training import TrainingOptions
from s2s.text.tokenizer import Tokenizer


class TrainingBatches:
    """The batches of each epoch, a pure function of seed, epoch and position."""

    def __init__(self, split: Split, tokenizer: Tokenizer, options: TrainingOptions) -> None:
        self.split = split
        self.tokenizer = tokenizer
        self.options = options
        alpha = options.subword_regularization
        self._sampler = tokenizer.sampler(alpha) if alpha else None
        self._planned: tuple[int, list[Rows]] = (-1, [])

    def of_epoch(self, epoch: int) -> list[Rows]:
        """Return the batches of an epoch as rows of the corpus, in training order."""
        if self._planned[0] != epoch:
            lengths = self.split.source_lengths, self.split.target_lengths
            self._planned = epoch, plan_batches(*lengths, self.options.batch_tokens, self.options.seed, epoch)
        return self._planned[1]

    def sentences(self, epoch: int, index: int) -> tuple[Sentences, Sentences]:
        """Return sources and targets of a batch as tokens: those of the corpus, or sampled for this epoch."""
        rows = self.of_epoch(epoch)[index]
        if self._sampler is None:
            return self.split.tokens(rows)
        sources, targets = self.split.texts(rows)
        seed = int(np.random.SeedSequence([self.options.seed, epoch, index]).generate_state(1)[0])
        tokens = self._sampler.sample([*sources, *targets], seed)
        return tokens[: len(sources)], tokens[len(sources) :]
