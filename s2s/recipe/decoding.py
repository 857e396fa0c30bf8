"""Options of decoding."""

from typing import Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.options import Options


class DecodingOptions(Options):
    """How the model translates where nothing else is said."""

    beam_size: int = Field(5, ge=1, le=1000, description="hypotheses kept for each sentence; 1: greedy")
    length_penalty: float = Field(
        1.0, ge=0, le=10, description="α: hypotheses are ranked by log-probability / length^α"
    )
    stopping: Literal["first", "exact"] = Field(
        "first",
        description="when a beam search ends: first, when patience × beam hypotheses have finished; "
        "exact, when nothing under way could become better than what has finished",
    )
    patience: float = Field(
        2.0,
        ge=1,
        le=100,
        description="stopping first: finished hypotheses to wait for, as a multiple of the beam (Kasai et al. 2022); "
        "with 1, a model that is sure of itself may end with scraps that finish before its first choice does",
    )
    min_ratio: float = Field(0.0, ge=0, description="shortest output, as a multiple of the source's tokens")
    max_ratio: float = Field(
        3.0, gt=0, le=1000, description="longest output, as a multiple of the source's tokens (and 10 more)"
    )
    no_repeat_ngram: int = Field(
        0, ge=0, le=100, description="n: no n tokens in a row come twice in a translation; 0: any may"
    )
    sample: bool = Field(False, description="draw translations at random instead of searching for the best")
    temperature: float = Field(
        1.0, gt=0, le=100, description="of samples: below 1 the probable becomes more probable, above 1 less"
    )
    top_k: int = Field(0, ge=0, description="samples are drawn from that many most probable tokens; 0: from all")
    top_p: float = Field(
        1.0, gt=0, le=1, description="samples are drawn from the fewest tokens that have that probability together"
    )
    seed: int = Field(1, ge=0, description="seed of samples; a line's depend on it and on the line's number alone")
    batch_tokens: int = Field(4096, ge=1, description="source tokens in a batch, padding included, times the beam")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_ratio > self.max_ratio:
            raise ValueError(f"min_ratio ({self.min_ratio:g}) is larger than max_ratio ({self.max_ratio:g})")
        return self

    def max_length(self, source: int) -> int:
        """Return the maximum output length in tokens, EOS included, for a source of that many tokens."""
        return int(self.max_ratio * source) + 10

    def min_length(self, source: int) -> int:
        """Return the minimum output length in tokens, EOS excluded, for a source of that many tokens."""
        return int(self.min_ratio * source)

    def describe(self) -> str:
        """`beam 5, length penalty 1, patience 2`, and what else is not as it is by default."""
        more = {
            f"at least {self.min_ratio:g} of the source's length": self.min_ratio,
            f"no {self.no_repeat_ngram} tokens twice": self.no_repeat_ngram,
        }
        return ", ".join([self._strategy(), *(words for words, said in more.items() if said)])

    def _strategy(self) -> str:
        if self.sample:
            cut = f", top k {self.top_k}" * bool(self.top_k) + f", top p {self.top_p:g}" * (self.top_p < 1)
            return f"sampling at temperature {self.temperature:g}{cut}, seed {self.seed}"
        if self.beam_size == 1:
            return "greedy search"
        stopping = "exact stopping" if self.stopping == "exact" else f"patience {self.patience:g}"
        return f"beam {self.beam_size}, length penalty {self.length_penalty:g}, {stopping}"

    @property
    def finished_to_stop(self) -> int:
        """Finished hypotheses that end a search whose stopping is first."""
        return 1 if self.beam_size == 1 else int(self.beam_size * self.patience + 0.5)
