"""Options of decoding."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.options import Options


class DecodingOptions(Options):
    """Decoding defaults, stored with the model."""

    beam_size: int = Field(5, ge=1, le=1000, description="beam size; 1 is greedy search")
    length_penalty: float = Field(
        1.0, ge=0, le=10, description="α: hypotheses are ranked by log-probability / length^α"
    )
    stopping: Literal["first", "exact"] = Field(
        "first",
        description="when beam search stops: first, after patience × beam_size finished hypotheses; "
        "exact, when no unfinished hypothesis can improve on the finished ones",
    )
    patience: float = Field(
        2.0,
        ge=1,
        le=100,
        description="with stopping first: finished hypotheses to wait for, as a multiple of beam_size "
        "(Kasai et al. 2022); 1 may return short hypotheses that finish before better ones",
    )
    min_ratio: float = Field(
        0.0, ge=0, description="minimum output length, as a multiple of the source length in tokens"
    )
    max_ratio: float = Field(
        3.0, gt=0, le=1000, description="maximum output length, as a multiple of the source length in tokens, plus 10"
    )
    max_caption_length: int = Field(
        100, ge=1, le=10_000, description="maximum length of the caption of an image, in tokens"
    )
    no_repeat_ngram: int = Field(
        0, ge=0, le=100, description="n of the n-grams that may not repeat in a translation; 0 disables it"
    )
    sample: bool = Field(False, description="sample instead of beam search")
    temperature: float = Field(
        1.0, gt=0, le=100, description="sampling temperature; below 1 is sharper, above 1 flatter"
    )
    top_k: int = Field(0, ge=0, description="sample from the k most probable tokens; 0: from all tokens")
    top_p: float = Field(
        1.0, gt=0, le=1, description="sample from the smallest set of tokens with this total probability"
    )
    seed: int = Field(
        1, ge=0, description="random seed for sampling; a line's samples depend only on it and the line number"
    )
    batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="tokens in a batch: source tokens × beam_size, padding included; auto: 4,096 on a CPU, 65,536 on a "
        "GPU",
    )

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
        """Describe the options: `beam 5, length penalty 1, patience 2`, then what differs from the defaults."""
        more = {
            f"minimum length ratio {self.min_ratio:g}": self.min_ratio,
            f"no repeated {self.no_repeat_ngram}-grams": self.no_repeat_ngram,
        }
        return ", ".join([self._strategy(), *(words for words, value in more.items() if value)])

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
        """Number of finished hypotheses that ends a search with stopping `first`."""
        return 1 if self.beam_size == 1 else int(self.beam_size * self.patience + 0.5)
