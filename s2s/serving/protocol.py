"""Messages between clients, the server and the processes that hold models: a JSON object and arrays.

A message is the lengths of its two parts as big-endian 32-bit numbers, a JSON object, and the bytes of its arrays one
after the other. The object says what the arrays are: their dtypes and shapes. Nothing is ever unpickled.
"""

import json
import math
import socket
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from s2s.errors import ArtefactError
from s2s.io.json_values import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 3  # of the protocol; a client and a server of different versions do not talk to each other
LENGTHS = struct.Struct("!II")
MAX_VALUES = 2**20  # bytes of the JSON object
MAX_PAYLOAD = 2**26  # bytes of the arrays
MAX_ARRAYS = 16
MAX_DIMENSIONS = 4
ITEM_SIZES = {"int32": 4, "int64": 8, "float16": 2, "float32": 4, "float64": 8, "uint8": 1}
TYPECODES = {"int32": "i", "int64": "q", "float32": "f", "float64": "d", "uint8": "B"}  # of the module array
DTYPES = {code: name for name, code in TYPECODES.items()}
TOO_LONG = "more bytes than a message may have"


@dataclass(frozen=True, slots=True)
class Block:
    """An array of a message."""

    dtype: str  # numpy's name
    shape: tuple[int, ...]
    content: bytes

    @classmethod
    def of(cls, values: "array[Any] | NDArray[Any]") -> Self:
        """Return the block of an array."""
        if isinstance(values, array):
            return cls(DTYPES[values.typecode], (len(values),), values.tobytes())
        return cls(values.dtype.name, values.shape, values.tobytes())

    def numbers(self, dtype: str) -> "array[Any]":
        """Return the numbers of a block of one dimension. Raises ArtefactError if it has another dtype or shape."""
        if self.dtype != dtype or len(self.shape) != 1:
            raise _damaged(f"an array of {self.dtype} instead of {dtype}")
        return array(TYPECODES[dtype], self.content)

    def array(self) -> "NDArray[Any]":
        """Return the block as an array of numpy, which is imported only here."""
        import numpy as np

        return np.frombuffer(self.content, self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Message:
    """A message: what it says, and the bytes of its arrays."""

    values: dict[str, Any]  # `type`, of a request and its answers an `id`, and what the type needs
    payload: bytes = b""

    @classmethod
    def of(cls, values: dict[str, Any], arrays: "Sequence[array[Any] | NDArray[Any]]") -> Self:
        """Build a message with arrays."""
        blocks = [Block.of(one) for one in arrays]
        described = [[block.dtype, list(block.shape)] for block in blocks]
        return cls(values | {"arrays": described}, b"".join(block.content for block in blocks))

    @property
    def type(self) -> str:
        """What kind of message it is."""
        return str(self.values.get("type", ""))

    def blocks(self) -> list[Block]:
        """Return the arrays. Raises ArtefactError if their description does not fit the payload."""
        described = self.values.get("arrays", [])
        if not isinstance(described, list) or len(described) > MAX_ARRAYS:
            raise _damaged("arrays that are not described")
        found, start = [], 0
        for one in described:
            dtype, shape = _description(one)
            end = start + math.prod(shape) * ITEM_SIZES[dtype]
            if end > len(self.payload):
                raise _damaged("arrays longer than its payload")
            found.append(Block(dtype, tuple(shape), self.payload[start:end]))
            start = end
        if start != len(self.payload):
            raise _damaged("bytes that belong to no array")
        return found

    def encode(self) -> bytes:
        """Return the message as bytes. Raises ArtefactError if it says more than a receiver accepts."""
        values = json.dumps(self.values, separators=(",", ":")).encode()
        if len(values) > MAX_VALUES:
            raise _damaged(TOO_LONG)
        return LENGTHS.pack(len(values), len(self.payload)) + values + self.payload


def receive_now(connection: socket.socket) -> Message | None:
    """Wait for a message on a blocking socket; None at the end of the stream, also in the middle of a message."""
    head = _read_exactly(connection, LENGTHS.size)
    if head is None:
        return None
    lengths = parse_lengths(head)
    content = _read_exactly(connection, sum(lengths))
    return None if content is None else parse_message(content, lengths[0])


def _read_exactly(connection: socket.socket, count: int) -> bytes | None:
    content = bytearray(count)
    view, done = memoryview(content), 0
    while done < count:
        read = connection.recv_into(view[done:])
        if not read:
            return None
        done += read
    return bytes(content)


def parse_lengths(head: bytes) -> tuple[int, int]:
    """Return the lengths of a message's two parts. Raises ArtefactError if it is too long."""
    values, payload = LENGTHS.unpack(head)
    if values > MAX_VALUES or payload > MAX_PAYLOAD:
        raise _damaged(TOO_LONG)
    return values, payload


def parse_message(content: bytes, length: int) -> Message:
    """Return the message whose JSON object has `length` bytes. Raises ArtefactError if it is none."""
    values = parse_json(content[:length], "a message")
    if not isinstance(values, dict):
        raise _damaged("no object")
    return Message(values, content[length:])


def _description(one: Any) -> tuple[str, list[int]]:
    match one:
        case [str(name), list(shape)] if name in ITEM_SIZES and len(shape) <= MAX_DIMENSIONS:
            if all(type(size) is int and 0 <= size <= MAX_PAYLOAD for size in shape):
                return name, shape
    raise _damaged("an array of an unknown kind")


def _damaged(what: str) -> ArtefactError:
    return ArtefactError(f"a message has {what}", "are client and server the same version of s2s?")
