"""Requests of the decoder and their results as messages.

C sources in a request, L output tokens of a hypothesis, S source positions.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s2s.data.sources import Image, Sentences
from s2s.decoding.engine import DecodingInput, ForcedSentence, Hypothesis, Request
from s2s.errors import ArtefactError, DataError, ResourceError, S2SError, UsageError
from s2s.io.json_values import first_fault
from s2s.io.quantities import MAX_KEEP_ALIVE
from s2s.recipe.decoding import DecodingOptions
from s2s.serving.protocol import TYPECODES, Block, Message
from s2s.serving.status import BusyError, StoppingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SOURCES = 1024  # of a message
MAX_OUTSTANDING = 8192  # sentences of one client
MAX_TOKENS = 100_000  # of a source and of an output
MAX_NBEST = 1000
MAX_MODELS = 16  # of an ensemble
ERRORS = (UsageError, DataError, ArtefactError, ResourceError, StoppingError)


class ModelKey(BaseModel):
    """What a resident process holds: the same models in another precision are another process's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    models: tuple[str, ...] = Field(
        min_length=1, max_length=MAX_MODELS
    )  # references `name:3`; several form an ensemble
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
        None, ge=-1, le=MAX_KEEP_ALIVE, allow_inf_nan=False
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
    """Sequences of numbers of different lengths, one after the other, and their lengths."""

    values: "array[Any]"
    lengths: "array[int]"

    @classmethod
    def of(cls, sequences: Iterable[Iterable[Any]], dtype: str = "int32") -> "Packed":
        """Pack sequences."""
        values, lengths = array(TYPECODES[dtype]), array("i")
        for sequence in sequences:
            before = len(values)
            values.extend(sequence)
            lengths.append(len(values) - before)
        return cls(values, lengths)

    @classmethod
    def received(cls, values: Block, lengths: Block, dtype: str = "int32") -> "Packed":
        """Return the sequences of two blocks. Raises UsageError if the lengths do not fit."""
        packed = cls(values.numbers(dtype), lengths.numbers("int32"))
        if min(packed.lengths, default=0) < 0 or sum(packed.lengths) != len(packed.values):
            raise UsageError("request: lengths of sequences do not fit their tokens")
        return packed

    def parts(self) -> Iterator["array[Any]"]:
        """Yield the sequences."""
        for start, end in pairwise(accumulate(self.lengths, initial=0)):
            yield self.values[start:end]

    def lists(self) -> list[list[Any]]:
        """Return the sequences as lists."""
        return [part.tolist() for part in self.parts()]


def search_message(request: Request, wanted: Wanted, number: int) -> Message:
    """Return the message that asks for a search."""
    inputs = request.inputs
    limits = array("q")
    for one in inputs:
        limits.extend((one.max_length, one.min_length, *one.sample_key))
    prefixes = Packed.of(one.prefix for one in inputs)
    arrays: list[Any] = [limits, prefixes.values, prefixes.lengths]
    if wanted.images:
        import numpy as np

        arrays.append(np.stack([one.source.pixels for one in inputs if isinstance(one.source, Image)]))
    else:
        sources = Packed.of(one.source for one in inputs if not isinstance(one.source, Image))
        arrays += [sources.values, sources.lengths]
    return Message.of({"type": "search", "id": number, "wanted": wanted.model_dump_json()}, arrays)


def parse_search(message: Message, wanted: Wanted, vocab_size: int) -> Request:
    """Return the search that a message asks for. Raises UsageError if a value is out of range."""
    limit_block, prefix_values, prefix_lengths, *rest = _blocks(message, 4 if wanted.images else 5)
    prefixes = _tokens(Packed.received(prefix_values, prefix_lengths), vocab_size)
    sources: list[Any]
    if wanted.images:
        sources = [Image(pixels) for pixels in _pixels(rest[0])]
    else:
        sources = _tokens(Packed.received(rest[0], rest[1]), vocab_size)
    numbers = limit_block.numbers("int64")
    if not len(numbers) // 4 == len(sources) == len(prefixes) == wanted.count or len(numbers) % 4:
        raise UsageError("request: numbers of sources, limits and prefixes differ")
    if any(not 0 < len(source) <= MAX_TOKENS for source in sources):
        raise UsageError(f"request: a source has no tokens, or more than {MAX_TOKENS:,}")
    if not all(1 <= longest <= MAX_TOKENS for longest in numbers[::4]):
        raise UsageError(f"request: maximum lengths should be 1 to {MAX_TOKENS:,}")
    limits = zip(*(numbers[place::4] for place in range(4)), strict=True)
    inputs = [
        DecodingInput(source, longest, shortest, prefix, (line, segment))
        for source, (longest, shortest, line, segment), prefix in zip(sources, limits, prefixes, strict=True)
    ]
    return Request(inputs, wanted.options, wanted.nbest, wanted.need_attention)


def result_message(results: Sequence[Sequence[Hypothesis]], number: int) -> Message:
    """Return the message with the hypotheses of C sources."""
    flat = [one for nbest in results for one in nbest]
    tokens = Packed.of(one.tokens for one in flat)
    arrays: list[Any] = [
        array("i", [len(nbest) for nbest in results]),
        tokens.values,
        tokens.lengths,
        array("d", [one.log_probability for one in flat]),
        array("d", [one.score for one in flat]),
        array("B", [one.truncated for one in flat]),
    ]
    arrays += _packed_maps(one.attention for one in flat)
    return Message.of({"type": "result", "id": number}, arrays)


def parse_result(message: Message) -> list[list[Hypothesis]]:
    """Return the hypotheses of C sources."""
    counts, values, lengths, log_probabilities, scores, truncated, *maps = message.blocks()
    tokens = Packed.received(values, lengths).lists()
    hypotheses = (
        Hypothesis(ids, log_probability, score, bool(cut), attention)
        for ids, log_probability, score, cut, attention in zip(
            tokens,
            log_probabilities.numbers("float64"),
            scores.numbers("float64"),
            truncated.numbers("uint8"),
            _maps(maps, len(tokens)),
            strict=True,
        )
    )
    return [[next(hypotheses) for _ in range(count)] for count in counts.numbers("int32")]


def force_message(request: ForcedRequest, wanted: Wanted, number: int) -> Message:
    """Return the message that asks for scores."""
    sources, targets = Packed.of(request.sources), Packed.of(request.targets)
    arrays = [sources.values, sources.lengths, targets.values, targets.lengths]
    return Message.of({"type": "force", "id": number, "wanted": wanted.model_dump_json()}, arrays)


def parse_force(message: Message, wanted: Wanted, vocab_size: int) -> ForcedRequest:
    """Return the pairs that a message asks to score. Raises UsageError if a value is out of range."""
    source, source_lengths, target, target_lengths = _blocks(message, 4)
    sources = _tokens(Packed.received(source, source_lengths), vocab_size)
    targets = _tokens(Packed.received(target, target_lengths), vocab_size)
    if not len(sources) == len(targets) == wanted.count:
        raise UsageError("request: numbers of sources and targets differ")
    if any(len(one) > MAX_TOKENS for one in (*sources, *targets)):
        raise UsageError(f"request: a text has more than {MAX_TOKENS:,} tokens")
    return ForcedRequest(sources, targets, wanted.need_attention)


def scores_message(scores: Sequence[ForcedSentence], number: int) -> Message:
    """Return the message with the scores of C pairs."""
    packed = Packed.of((one.log_probabilities for one in scores), "float32")
    arrays: list[Any] = [packed.values, packed.lengths]
    arrays += _packed_maps(one.attention for one in scores)
    return Message.of({"type": "scores", "id": number}, arrays)


def parse_scores(message: Message) -> list[ForcedSentence]:
    """Return the scores of C pairs."""
    import numpy as np

    values, lengths, *maps = message.blocks()
    packed = Packed.received(values, lengths, "float32")
    each = zip(packed.parts(), _maps(maps, len(packed.lengths)), strict=True)
    return [ForcedSentence(np.array(part, dtype=np.float32), attention) for part, attention in each]


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


def _packed_maps(maps: "Iterable[NDArray[np.float32] | None]") -> list[Any]:
    """Return the heights and widths of attention [L, S], and the weights; nothing without attention."""
    found = [one for one in maps if one is not None]
    if not found:
        return []
    import numpy as np

    shapes = array("i", [size for one in found for size in one.shape])
    return [shapes, np.concatenate([one.ravel() for one in found])]


def _maps(blocks: Sequence[Block], count: int) -> "Iterator[NDArray[np.float32] | None]":
    """Yield the attention [L, S] of each hypothesis, or None for each."""
    if not blocks:
        yield from [None] * count
        return
    shapes, values = blocks[0].numbers("int32"), blocks[1].array()
    start = 0
    for height, width in zip(shapes[::2], shapes[1::2], strict=True):
        yield values[start : start + height * width].reshape(height, width)
        start += height * width


def _pixels(block: Block) -> "NDArray[Any]":
    if len(block.shape) != 4 or block.dtype not in {"uint8", "float16"}:
        raise UsageError("request: images should be pixels or features")
    return block.array()


def _blocks(message: Message, count: int) -> list[Block]:
    blocks = message.blocks()
    if len(blocks) != count:
        raise UsageError(f"request: {len(blocks)} arrays instead of {count}")
    return blocks


def _tokens(packed: Packed, vocab_size: int) -> list[list[int]]:
    """Return token ids. One outside the embedding table would end a GPU's process, and everybody's requests."""
    if packed.values and not (min(packed.values) >= 0 and max(packed.values) < vocab_size):
        raise UsageError(f"request: tokens should be numbers from 0 to {vocab_size - 1:,}")
    return packed.lists()
