"""Options of the tokenizer."""

from typing import Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.options import Options, Texts
from s2s.recipe.user_symbols import MAX_PLACEHOLDERS, MIN_PLACEHOLDERS, symbol_problem


class TokenizerOptions(Options):
    """One SentencePiece model for both languages, trained on the training pairs."""

    vocab_size: int = Field(8000, ge=8, le=1_000_000, description="vocabulary size, special tokens included")
    algorithm: Literal["unigram", "bpe", "char", "word"] = Field("unigram", description="SentencePiece algorithm")
    character_coverage: float = Field(1.0, gt=0.9, le=1, description="share of characters covered by the vocabulary")
    byte_fallback: Literal["auto", "on", "off"] = Field(
        "auto",
        description="encode characters without a token as bytes (256 tokens); auto: if vocab_size is at least 2,000",
    )
    user_symbols: Texts = Field([], description="texts that are always one token wherever they occur, without spaces")
    keep_placeholders: bool = Field(
        False,
        description="make a token of each placeholder (%s, {name}), tag (<b>) and entity (&nbsp;) without spaces that "
        f"occurs {MIN_PLACEHOLDERS} times; the most frequent ones, up to {MAX_PLACEHOLDERS:.0%} of vocab_size",
    )

    @model_validator(mode="after")
    def _valid_symbols(self) -> Self:
        if (self.user_symbols or self.keep_placeholders) and self.algorithm == "word":
            raise ValueError('user_symbols and keep_placeholders are not supported with algorithm = "word"')
        for number, symbol in enumerate(self.user_symbols):
            if problem := symbol_problem(symbol):
                raise ValueError(f"user_symbols: {symbol!r}: {problem}")
            if symbol in self.user_symbols[:number]:
                raise ValueError(f"user_symbols: {symbol!r} is listed twice")
        return self
