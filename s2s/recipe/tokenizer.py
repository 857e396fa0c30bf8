"""Options of the tokenizer."""

from typing import Literal

from pydantic import Field

from s2s.recipe.options import Options


class TokenizerOptions(Options):
    """One SentencePiece model for both languages, trained on the training pairs."""

    vocab_size: int = Field(8000, ge=8, le=1_000_000, description="vocabulary size, special tokens included")
    algorithm: Literal["unigram", "bpe", "char", "word"] = Field("unigram", description="SentencePiece algorithm")
    character_coverage: float = Field(1.0, gt=0.9, le=1, description="share of characters covered by the vocabulary")
    byte_fallback: Literal["auto", "on", "off"] = Field(
        "auto",
        description="encode characters without a token as bytes (256 tokens); auto: if vocab_size is at least 2,000",
    )
