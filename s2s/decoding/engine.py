"""The interface of inference engines: requests, pending searches, hypotheses. Free of torch.

L tokens of a translation (EOS included), S source positions (EOS included).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import exp, isfinite
from typing import TYPE_CHECKING, Protocol, Self

from s2s.data.sources import Image, Sentences
from s2s.devices.runtime import tuning
from s2s.errors import ArtefactError
from s2s.recipe.decoding import DecodingOptions
from s2s.text.tokenizer import EOS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished translation."""

    tokens: list[int]  # EOS excluded
    log_probability: float  # natural logarithm, EOS included
    score: float  # log_probability / L^α
    truncated: bool  # whether it ends at the length limit, without EOS
    attention: "NDArray[np.float32] | None" = None  # [L, S], padded to the longest source of the batch

    @classmethod
    def from_tokens(
        cls, tokens: list[int], log_probability: float, length_penalty: float, attention: "NDArray[np.float32] | None"
    ) -> Self:
        """Build a hypothesis from its L tokens, which end with EOS unless truncated."""
        truncated = tokens[-1] != EOS
        return cls(
            tokens=tokens if truncated else tokens[:-1],
            log_probability=log_probability,
            score=log_probability / len(tokens) ** length_penalty,
            truncated=truncated,
            attention=attention,
        )


def check_finite(hypotheses: Iterable[Sequence[Hypothesis]]) -> None:
    """Raise ArtefactError if a sentence has no hypothesis, or one whose probability is not a number."""
    if not all(nbest and all(isfinite(one.log_probability) for one in nbest) for nbest in hypotheses):
        raise ArtefactError("the model's scores are not finite: its weights are damaged", "train the model anew")


@dataclass(frozen=True, slots=True)
class DecodingInput:
    """A source to decode, with the limits that the task sets on its output."""

    source: list[int] | Image  # tokens of a sentence, EOS excluded, not empty; or an image
    max_length: int  # output tokens, prefix and EOS included
    min_length: int = 0  # output tokens, EOS excluded
    prefix: list[int] = field(default_factory=list)  # tokens that the output starts with
    sample_key: tuple[int, int] = (0, 0)  # line and segment, which with the seed determine its samples


@dataclass(frozen=True, slots=True)
class Request:
    """Sources to decode, and how."""

    inputs: list[DecodingInput]
    options: DecodingOptions  # beam search or sampling
    nbest: int = 1  # hypotheses per sentence
    need_attention: bool = False  # whether hypotheses carry attention

    def batches(self, device: str) -> Iterator[list[int]]:
        """Yield batches of sources of similar length as indices into `inputs`, longest first.

        `device`: cpu or cuda, whose batches are larger.
        """
        import numpy as np

        from s2s.data.batching import cut_batches

        tokens = self.options.batch_tokens
        budget = tuning(device).decoding_tokens if tokens == "auto" else tokens
        hypotheses = self.nbest if self.options.sample else self.options.beam_size
        lengths = np.array([len(one.source) + 1 for one in self.inputs], dtype=np.int64)
        order = (-lengths).argsort(kind="stable")
        for rows in cut_batches(lengths[order], order, max(1, budget // hypotheses)):
            yield rows.tolist()


class PendingSearch(Protocol):
    """A search that may still be running."""

    def result(self) -> list[list[Hypothesis]]:
        """Wait for the search and return up to `nbest` hypotheses per sentence, best first."""
        ...


class Engine(Protocol):
    """An inference engine: PyTorch for any network, or CTranslate2."""

    @property
    def device(self) -> object:
        """Device that the engine computes on; `str()` gives its name."""
        ...

    def start(self, request: Request) -> PendingSearch:
        """Start a search."""
        ...

    def describe(self) -> str:
        """Name the engine and its precision: `PyTorch, fp32`."""
        ...


@dataclass(frozen=True, slots=True)
class ForcedScore:
    """The likelihood of target sentences."""

    nll: float  # negative log-likelihood in nats
    tokens: int  # target tokens, EOS included

    @property
    def perplexity(self) -> float:
        """exp(nll / tokens)."""
        return exp(min(self.nll / max(self.tokens, 1), 700))


@dataclass(frozen=True, slots=True)
class ForcedSentence:
    """Scores of one target sentence of T tokens, EOS excluded."""

    log_probabilities: "NDArray[np.float32]"  # [T + 1] natural logarithms, EOS last
    # [T + 1, S], EOS last, or [T + 1, h · w] for an image; None if not needed or not available
    attention: "NDArray[np.float32] | None" = None


class ScoringEngine(Engine, Protocol):
    """An engine that also scores given translations."""

    def force(
        self, sources: Sentences, targets: Sentences, *, need_attention: bool = False
    ) -> Iterable[tuple[int, ForcedSentence]]:
        """Score each target given its source, as tokens; yield their indices and scores in any order."""
        ...
