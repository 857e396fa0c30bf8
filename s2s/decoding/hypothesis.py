"""What an engine is asked for and what it answers, whichever engine it is. Free of torch.

B sentences, L tokens of a translation (EOS counted in weights alone), S source positions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from s2s.data.batching import cut_batches
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.text.tokenizer import EOS

LONGEST = 400  # tokens of a source translated in one go, if training saw none longer


def longest_source(recipe: Recipe) -> int:
    """Most tokens, EOS left out, of what an engine is given; a longer line is split, and its parts joined again."""
    return max(LONGEST, recipe.data.max_length)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished translation: its tokens (EOS left out), its log-probability, its score (the log-probability /
    length^α, EOS counted), whether it was cut at the length limit, and attention weights [L, S] (EOS's row last)
    where asked for.
    """

    tokens: list[int]
    log_probability: float
    score: float
    cut: bool
    attention: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, written: list[int], total: float, alpha: float, weights: NDArray[np.float32] | None) -> Self:
        """From the tokens as they were written, EOS last where it ended, and their log-probability."""
        cut = written[-1] != EOS
        return cls(written if cut else written[:-1], total, total / len(written) ** alpha, cut, weights)


@dataclass(frozen=True, slots=True)
class Request:
    """B sentences in tokens, none of them empty, and what is wanted of them.

    prefixes: tokens that each translation begins with; numbers: (line, part) of each sentence, from which, with the
    seed, its samples are drawn. Either may be left out.
    """

    sentences: list[list[int]]
    options: DecodingOptions
    nbest: int = 1
    need_attention: bool = False
    prefixes: list[list[int]] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)

    def batches(self) -> Iterator[list[int]]:
        """Sentences of like length to be searched together, by their places; the longest first."""
        hypotheses = self.nbest if self.options.sample else self.options.beam_size
        lengths = np.array([len(sentence) + 1 for sentence in self.sentences], dtype=np.int64)
        order = (-lengths).argsort(kind="stable")
        for rows in cut_batches(lengths[order], order, max(1, self.options.batch_tokens // hypotheses)):
            yield rows.tolist()


Answer = Callable[[], list[list[Hypothesis]]]


class Engine(Protocol):
    """What searches: PyTorch with any network, or CTranslate2."""

    def begin(self, request: Request) -> Answer:
        """Begin a search; the answer waits for its end, and gives the `nbest` hypotheses of each sentence."""
        ...

    def describe(self) -> str:
        """Name the engine and its precision: `PyTorch, fp32`."""
        ...
