"""User symbols of a tokenizer: tokens that are never split, and no part of other tokens.

SentencePiece's unigram models prefer them to other tokens without being bound to, and its Python API does not name
them, so texts that contain one are split here.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from s2s.errors import ArtefactError

NORMAL, USER_DEFINED = 1, 4  # types of tokens
PIECES, TYPE = 1, 3  # field numbers of ModelProto.pieces and SentencePiece.type in sentencepiece_model.proto
AS_IT_IS = b"\x1a\x04\x18\x00\x20\x00"  # normalizer_spec: add_dummy_prefix and remove_extra_whitespaces are false
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


def user_symbols(model: bytes) -> list[int]:
    """Return the numbers of a model's user symbols, which precede its normal tokens.

    Raises: ArtefactError if the model is damaged.
    """
    found = []
    try:
        for number, piece in enumerate(value for field, value in _fields(model) if field == PIECES):
            kind = dict(_fields(piece)).get(TYPE, NORMAL) if isinstance(piece, bytes) else NORMAL
            if kind == NORMAL:
                break
            if kind == USER_DEFINED:
                found.append(number)
    except IndexError as error:
        raise ArtefactError("the tokenizer is damaged: not a SentencePiece model") from error
    return found


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the field numbers and values of a protocol buffer: integers or bytes."""
    at = 0
    while at < len(message):
        key, at = _integer(message, at)
        kind, size = key & 7, {1: 8, 5: 4}.get(key & 7, 0)
        if kind == 0:
            value, at = _integer(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _integer(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _integer(message: bytes, at: int) -> tuple[int, int]:
    """Return an integer of variable length and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
