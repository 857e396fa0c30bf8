"""Requests of the decoder and their results as messages.

C sources in a request, L output tokens of a hypothesis, S source positions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s2s.data.sources import Image, Sentences
from s2s.decoding.engine import DecodingInput, ForcedSentence, Hypothesis, Request
from s2s.errors import ArtefactError, DataError, ResourceError, S2SError, UsageError
from s2s.io.json_values import first_fault
from s2s.recipe.decoding import DecodingOptions
from s2s.serving.protocol import Message
from s2s.serving.status import BusyError, StoppingError

MAX_SOURCES = 1024  # of a message
MAX_TOKENS = 20_000  # of a source and of an output
MAX_NBEST = 1000
ERRORS = (UsageError, DataError, ArtefactError, ResourceError, StoppingError)
Ints = NDArray[np.int32]


class ModelKey(BaseModel):
    """What a resident process holds: the same models in another precision are another process's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    models: tuple[str, ...] = Field(min_length=1, max_length=16)  # references `name:3`; several form an ensemble
    engine: str = "auto"
    precision: str = "auto"

    @property
    def name(self) -> str:
        """The model or, of an ensemble, all of them: `name:3+other:1`."""
        return "+".join(self.models)


class Wanted(BaseModel):
    """What a request asks for, apart from its sources."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: ModelKey
    options: DecodingOptions
    nbest: int = Field(1, ge=1, le=MAX_NBEST)
    need_attention: bool = False
    prefixes: bool = False  # whether outputs begin with given tokens
    images: bool = False  # whether sources are images
    count: int = Field(1, ge=1, le=MAX_SOURCES)  # sources
    keep_alive: float | None = Field(
        None, ge=-1, allow_inf_nan=False
    )  # seconds that the model stays loaded afterwards; -1 for ever
    idle: bool = False  # answer only while no other request waits

    @classmethod
    def parse(cls, values: Any) -> "Wanted":
        """Parse the values of a message. Raises UsageError naming the first fault."""
        try:
            return cls.model_validate_json(values) if isinstance(values, str) else cls.model_validate(values)
        except ValidationError as error:
            raise UsageError(f"request: {first_fault(error)}") from error


@dataclass(frozen=True, slots=True)
class ForcedRequest:
    """Pairs to score by teacher forcing."""

    sources: Sentences
    targets: Sentences
    need_attention: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences of different lengths, one after the other, and their lengths."""

    values: NDArray[Any]
    lengths: Ints

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int] | NDArray[Any]], dtype: str = "int32") -> "Packed":
        """Pack sequences."""
        arrays = [np.asarray(one, dtype=dtype) for one in sequences]
        lengths = np.array([len(one) for one in arrays], dtype=np.int32)
        return cls(np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype), lengths)

    def parts(self) -> Iterator[NDArray[Any]]:
        """Yield the sequences. Raises UsageError if the lengths do not fit."""
        ends = list(accumulate(self.lengths.tolist(), initial=0))
        if (self.lengths < 0).any() or ends[-1] != len(self.values):
            raise UsageError("request: lengths of sequences do not fit their tokens")
        for start, end in pairwise(ends):
            yield self.values[start:end]


def search_message(request: Request, wanted: Wanted, number: int) -> Message:
    """Return the message that asks for a search."""
    inputs = request.inputs
    limits = np.array([(one.max_length, one.min_length, *one.sample_key) for one in inputs], dtype=np.int64)
    prefixes = Packed.of(one.prefix for one in inputs)
    arrays = [limits, prefixes.values, prefixes.lengths]
    if wanted.images:
        arrays.append(np.stack([one.source.pixels for one in inputs if isinstance(one.source, Image)]))
    else:
        sources = Packed.of(one.source for one in inputs if not isinstance(one.source, Image))
        arrays += [sources.values, sources.lengths]
    return Message.of({"type": "search", "id": number, "wanted": wanted.model_dump_json()}, arrays)


def parse_search(message: Message, wanted: Wanted, vocab_size: int) -> Request:
    """Return the search that a message asks for. Raises UsageError if a value is out of range."""
    limits, prefix_values, prefix_lengths, *rest = _arrays(message, 4 if wanted.images else 5)
    prefixes = list(Packed(_tokens(prefix_values, vocab_size), prefix_lengths.astype(np.int32)).parts())
    sources: list[Any]
    if wanted.images:
        sources = [Image(pixels) for pixels in rest[0]]
    else:
        packed = Packed(_tokens(rest[0], vocab_size), rest[1].astype(np.int32))
        sources = [one.tolist() for one in packed.parts()]
    if not limits.shape == (wanted.count, 4) or not len(sources) == len(prefixes) == wanted.count:
        raise UsageError("request: numbers of sources, limits and prefixes differ")
    if any(not 0 < len(source) <= MAX_TOKENS for source in sources):
        raise UsageError(f"request: a source has no tokens, or more than {MAX_TOKENS:,}")
    if not ((limits[:, 0] >= 1) & (limits[:, 0] <= MAX_TOKENS)).all():
        raise UsageError(f"request: maximum lengths should be 1 to {MAX_TOKENS:,}")
    inputs = [
        DecodingInput(source, longest, shortest, prefix.tolist(), (line, segment))
        for source, (longest, shortest, line, segment), prefix in zip(sources, limits.tolist(), prefixes, strict=True)
    ]
    return Request(inputs, wanted.options, wanted.nbest, wanted.need_attention)


def result_message(results: Sequence[Sequence[Hypothesis]], number: int) -> Message:
    """Return the message with the hypotheses of C sources."""
    flat = [one for nbest in results for one in nbest]
    tokens = Packed.of(one.tokens for one in flat)
    maps = [one.attention for one in flat if one.attention is not None]
    arrays = [
        np.array([len(nbest) for nbest in results], dtype=np.int32),
        tokens.values,
        tokens.lengths,
        np.array([(one.log_probability, one.score) for one in flat], dtype=np.float64).reshape(-1, 2),
        np.array([one.truncated for one in flat], dtype=np.uint8),
    ]
    if maps:
        arrays += [np.array([one.shape for one in maps], dtype=np.int32), Packed.of(_flat(maps), "float32").values]
    return Message.of({"type": "result", "id": number}, arrays)


def parse_result(message: Message) -> list[list[Hypothesis]]:
    """Return the hypotheses of C sources."""
    counts, values, lengths, scores, truncated, *maps = message.arrays()
    attention = _maps(maps) if maps else iter([None] * len(lengths))
    tokens = Packed(values, lengths).parts()
    hypotheses = iter(
        [
            Hypothesis(ids.tolist(), log_probability, score, bool(cut), weights)
            for ids, (log_probability, score), cut, weights in zip(
                tokens, scores.tolist(), truncated.tolist(), attention, strict=True
            )
        ]
    )
    return [[next(hypotheses) for _ in range(count)] for count in counts.tolist()]


def force_message(request: ForcedRequest, wanted: Wanted, number: int) -> Message:
    """Return the message that asks for scores."""
    sources, targets = Packed.of(request.sources), Packed.of(request.targets)
    arrays = [sources.values, sources.lengths, targets.values, targets.lengths]
    return Message.of({"type": "force", "id": number, "wanted": wanted.model_dump_json()}, arrays)


def parse_force(message: Message, wanted: Wanted, vocab_size: int) -> ForcedRequest:
    """Return the pairs that a message asks to score. Raises UsageError if a value is out of range."""
    source, source_lengths, target, target_lengths = _arrays(message, 4)
    sources = list(Packed(_tokens(source, vocab_size), source_lengths.astype(np.int32)).parts())
    targets = list(Packed(_tokens(target, vocab_size), target_lengths.astype(np.int32)).parts())
    if not len(sources) == len(targets) == wanted.count:
        raise UsageError("request: numbers of sources and targets differ")
    if any(len(one) > MAX_TOKENS for one in (*sources, *targets)):
        raise UsageError(f"request: a text has more than {MAX_TOKENS:,} tokens")
    return ForcedRequest(sources, targets, wanted.need_attention)


def scores_message(scores: Sequence[ForcedSentence], number: int) -> Message:
    """Return the message with the scores of C pairs."""
    packed = Packed.of((one.log_probabilities for one in scores), "float32")
    maps = [one.attention for one in scores if one.attention is not None]
    arrays = [packed.values, packed.lengths]
    if maps:
        arrays += [np.array([one.shape for one in maps], dtype=np.int32), Packed.of(_flat(maps), "float32").values]
    return Message.of({"type": "scores", "id": number}, arrays)


def parse_scores(message: Message) -> list[ForcedSentence]:
    """Return the scores of C pairs."""
    values, lengths, *maps = message.arrays()
    attention = _maps(maps) if maps else iter([None] * len(lengths))
    return [ForcedSentence(*one) for one in zip(Packed(values, lengths).parts(), attention, strict=True)]


def error_message(error: Exception, number: int) -> Message:
    """Return the message that answers a request with an error."""
    if not isinstance(error, S2SError):
        error = S2SError(f"{type(error).__name__}: {error}".removesuffix(": "))
    values = {"type": "error", "id": number, "kind": type(error).__name__, "message": error.message, "hint": error.hint}
    return Message(values | ({"retry_after": error.retry_after} if isinstance(error, BusyError) else {}))


def parse_error(message: Message) -> S2SError:
    """Return the error that a message describes."""
    values = message.values
    text, hint = str(values.get("message")), values.get("hint")
    if values.get("kind") == BusyError.__name__:
        return BusyError(text, float(values.get("retry_after", 1.0)))
    kind = next((one for one in ERRORS if one.__name__ == values.get("kind")), S2SError)
    return kind(text, None if hint is None else str(hint))


def _flat(maps: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    return (one.ravel() for one in maps)


def _maps(arrays: Sequence[NDArray[Any]]) -> Iterator[NDArray[np.float32] | None]:
    """Yield the attention [L, S] of each hypothesis."""
    shapes, values = arrays
    sizes = shapes.prod(1).astype(np.int32)
    for shape, flat in zip(shapes.tolist(), Packed(values, sizes).parts(), strict=True):
        yield flat.reshape(shape)


def _arrays(message: Message, count: int) -> list[NDArray[Any]]:
    arrays = message.arrays()
    if len(arrays) != count:
        raise UsageError(f"request: {len(arrays)} arrays instead of {count}")
    return arrays


def _tokens(values: NDArray[Any], vocab_size: int) -> Ints:
    """Check token ids. An index outside the embedding table would end a GPU's process, and everybody's requests."""
    if values.dtype != np.int32 or values.ndim != 1 or ((values < 0) | (values >= vocab_size)).any():
        raise UsageError(f"request: tokens should be numbers from 0 to {vocab_size - 1:,}")
    return values
