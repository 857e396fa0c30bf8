"""What a page needs to run small models of the recall task in the browser."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A recurrent network with its weights."""

    name: str
    weights: str  # half-precision floats, little-endian, one tensor after the other, in base64
    shapes: Sequence[tuple[str, Sequence[int]]]  # names and shapes of the tensors, in their order
    max_ratio: float  # limits its outputs, as in `decoding.max_ratio`


@dataclass(frozen=True, slots=True)
class RecallDemo:
    """Models with the same vocabulary, and the task that they were trained on."""

    models: Sequence[DemoModel]
    vocabulary: Sequence[str]  # words by token id
    keys: int  # different keys, of which a source has each at most once
    values: int  # different values
    queries: int  # keys that a source asks for
    separator: str  # word before the keys that a source asks for
    longest: int  # tokens of the longest source that is drawn
