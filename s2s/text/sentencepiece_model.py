"""What SentencePiece's Python API does not tell of a model: its algorithm, and which tokens are user symbols.

A model is a protocol buffer, the ModelProto of sentencepiece_model.proto.
"""

from collections.abc import Iterator

from s2s.errors import ArtefactError

PIECES, TRAINER = 1, 2  # fields of ModelProto
TYPE = 3  # field of SentencePiece
NORMAL, USER_DEFINED = 1, 4  # its values
MODEL_TYPE = 3  # field of TrainerSpec
ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}  # its values
DAMAGED = "the tokenizer is damaged: not a SentencePiece model"


def user_symbol_ids(model: bytes) -> list[int]:
    """Return the token ids of a model's user symbols, which precede its normal tokens.

    Raises: ArtefactError if the model is damaged.
    """
    found = []
    try:
        for token, piece in enumerate(value for field, value in _fields(model) if field == PIECES):
            kind = dict(_fields(piece)).get(TYPE, NORMAL) if isinstance(piece, bytes) else NORMAL
            if kind == NORMAL:
                break
            if kind == USER_DEFINED:
                found.append(token)
    except IndexError as error:
        raise ArtefactError(DAMAGED) from error
    return found


def algorithm(model: bytes) -> str:
    """Return a model's algorithm: unigram, bpe, word or char. Raises ArtefactError if the model is damaged."""
    try:
        options = [dict(_fields(value)) for field, value in _fields(model) if field == TRAINER and type(value) is bytes]
    except IndexError as error:
        raise ArtefactError(DAMAGED) from error
    kind = options[0].get(MODEL_TYPE, 1) if options else 1
    return ALGORITHMS.get(kind if isinstance(kind, int) else 0, "unknown")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the numbers and values of a protocol buffer's fields. Raises IndexError if it ends too early."""
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
