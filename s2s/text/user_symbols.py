"""User symbols of a tokenizer: tokens that are never split, and no part of other tokens.

SentencePiece's unigram models prefer them to other tokens without being bound to, so texts that contain one are split
here.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

AS_IT_IS = b"\x1a\x04\x18\x00\x20\x00"  # of sentencepiece_model.proto, normalizer_spec: add_dummy_prefix = false,
# remove_extra_whitespaces = false
SPACES = re.compile("[ ▁]+")


class UserSymbols:
    """The user symbols of a SentencePiece model: `tokens` has the token id of each."""

    def __init__(self, model: bytes, tokens: Mapping[str, int]) -> None:
        """Take a model and the token ids of its user symbols, none or more."""
        self.tokens = tokens
        longest_first = sorted(tokens, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first))})" if tokens else "(?!)")
        self._model = model

    @cached_property
    def processor(self) -> Any:
        """A processor of texts between symbols, with `▁` for spaces: it adds none at the start and removes none."""
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor()
        processor.LoadFromSerializedProto(self._model + AS_IT_IS)  # a later field is merged into an earlier one
        return processor

    def occur_in(self, text: str) -> bool:
        """Return whether a text has a symbol."""
        return self._pattern.search(text) is not None

    def split(self, text: str) -> list[str]:
        """Split a text into symbols and what is between them; none is empty."""
        return [part for part in self._pattern.split(text) if part]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        parts = self.split("▁" + SPACES.sub("▁", text).strip("▁"))
        return [
            token
            for part in parts
            for token in ([self.tokens[part]] if part in self.tokens else self.processor.encode(part))
        ]
