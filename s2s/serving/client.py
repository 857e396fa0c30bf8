"""The client of a server: the same translations as without one, but the model is already loaded. Free of torch."""

import functools
import itertools
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from s2s.data.sources import Image, Sentences
from s2s.decoding.config import TranslatorConfig
from s2s.decoding.described_models import CombinedModels, DescribedModel, combine
from s2s.decoding.engine import DecodingInput, Engine, ForcedSentence, Hypothesis, Request, ScoringEngine
from s2s.decoding.translator import Translator
from s2s.errors import ArtefactError, ResourceError
from s2s.io.paths import registry_directory
from s2s.serving.messages import (
    MAX_OUTSTANDING,
    MAX_SOURCES,
    ForcedRequest,
    ModelKey,
    Wanted,
    force_message,
    parse_error,
    parse_result,
    parse_scores,
    search_message,
)
from s2s.serving.protocol import VERSION, Message, receive_now
from s2s.serving.sockets import connect
from s2s.serving.status import BusyError, ServerStatus, StoppingError

log = logging.getLogger(__name__)

MAX_PART_BYTES = 2**24  # of a message
HELLO_SECONDS = 5.0  # in which a server greets; one that hangs is left alone
HANDOVER_SECONDS = 60.0  # that a server which stops may hold its device
GONE = "the server has ended"


class Connection:
    """A connection to a server; for one thread."""

    def __init__(self, stream: socket.socket, timeout: float | None = None) -> None:
        """Wait for the server's greeting; with `timeout`, all answers must arrive within that many seconds."""
        self._stream = stream
        self._until: float | None = None
        until = None if timeout is None else time.monotonic() + timeout
        self._numbers = itertools.count(1)
        self._answers: dict[int, Message] = {}  # that arrived while another was waited for
        stream.settimeout(HELLO_SECONDS)
        hello = self._receive().values
        stream.settimeout(timeout)
        self._until = until
        if hello.get("protocol") != VERSION:
            raise ResourceError(f"the server is s2s {hello.get('version')}, which speaks another protocol")
        self.pid, self.user, self.device = int(hello["pid"]), str(hello["user"]), str(hello["device"])

    @classmethod
    def open(cls, timeout: float | None = None) -> Self | None:
        """Return a connection to a server of the registry; None if there is none that fits."""
        stream = connect(registry_directory())
        if stream is None:
            return None
        try:
            return cls(stream, timeout)
        except (ArtefactError, ResourceError, TimeoutError, KeyError, ValueError) as error:
            log.debug("no server: %s", error)
            stream.close()
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def send(self, build: Callable[[int], Message]) -> int:
        """Send the message that `build` makes of the request's number, and return the number.

        Raises: StoppingError if the server has ended, TimeoutError.
        """
        number = next(self._numbers)
        try:
            self._stream.sendall(build(number).encode())
        except TimeoutError:
            raise
        except OSError as error:
            raise StoppingError(GONE) from error
        return number

    def wait(self, number: int) -> Message:
        """Wait for the answer to a request.

        Raises: the error that it is; StoppingError if the server has ended; TimeoutError.
        """
        while number not in self._answers:
            answer = self._receive()
            self._answers[answer.values["id"]] = answer
        answer = self._answers.pop(number)
        if answer.type == "error":
            raise parse_error(answer)
        return answer

    def ask(self, **values: Any) -> Message:
        """Send a message without arrays and return the answer."""
        return self.wait(self.send(lambda number: Message(values | {"id": number})))

    def load(self, wanted: Wanted) -> Message:
        """Have a model loaded, unless it is, and return what the server says of it."""
        return self.ask(type="load", wanted=wanted.model_dump_json())

    def describe(self, models: Sequence[str]) -> list[DescribedModel]:
        """Describe the models that references resolve to. Raises UsageError for an unknown one."""
        answer = self.ask(type="describe", models=list(models))
        return [DescribedModel.from_dict(values) for values in answer.values["models"]]

    def status(self) -> ServerStatus:
        """Return what the server does."""
        return ServerStatus.from_json(self.ask(type="status").values["status"])

    def _receive(self) -> Message:
        try:
            if self._until is not None:
                self._stream.settimeout(max(0.001, self._until - time.monotonic()))
            message = receive_now(self._stream)
        except TimeoutError:
            raise
        except OSError as error:
            raise StoppingError(GONE) from error
        if message is None:
            raise StoppingError(GONE)
        return message


@dataclass(slots=True, eq=False)
class Part:
    """A part of a request, small enough for a message."""

    count: int  # sentences
    build: Callable[[int], Message]  # the message, given its number
    parse: Callable[[Message], list[Any]]  # the results in the answer
    compute: Callable[[Engine], list[Any]]  # the same results without a server
    number: int | None = None  # of the message, if it was sent


class ServedEngine:
    """An engine whose searches and scores a server computes.

    With `without_server`, what the server is too busy for is sent again, and if it ends, the engine that this function
    loads computes the rest. Without it, both are errors.
    """

    def __init__(
        self, connection: Connection, wanted: Wanted, without_server: Callable[[], Engine] | None = None
    ) -> None:
        self.device = connection.device
        self.wanted = wanted
        self._connection = connection
        self._without_server = without_server
        self._own: Engine | None = None
        self._parts: list[Part] = []  # whose results are still wanted, the oldest first
        self._name = str(connection.load(wanted).values["engine"])

    def describe(self) -> str:
        """Return `CTranslate2, int8`."""
        return self._own.describe() if self._own else self._name

    def start(self, request: Request) -> "ServedSearch":
        """Send a search, in parts, which the server may compute side by side."""
        parts = [
            self._search(request, request.inputs[part])
            for part in _cut([_bytes(one, request) for one in request.inputs])
        ]
        self._parts += parts
        self._send_ahead()
        return ServedSearch(self, parts)

    def force(
        self, sources: Sentences, targets: Sentences, *, need_attention: bool = False
    ) -> Iterator[tuple[int, ForcedSentence]]:
        """Yield the index and scores of each target given its source."""
        weights = 4 if need_attention else 0
        sizes = [
            4 * (len(source) + len(target)) + weights * (len(source) + 1) * (len(target) + 1)
            for source, target in zip(sources, targets, strict=True)
        ]
        parts = [self._force(sources[part], targets[part], need_attention) for part in _cut(sizes)]
        self._parts += parts
        self._send_ahead()
        yield from enumerate(itertools.chain.from_iterable(map(self.result, parts)))

    def result(self, part: Part) -> list[Any]:
        """Wait for the results of a part."""
        while self._own is None:
            try:
                if part.number is None:
                    part.number = self._connection.send(part.build)
                found = part.parse(self._connection.wait(part.number))
            except BusyError as error:
                if self._without_server is None:
                    raise
                time.sleep(error.retry_after)
                part.number = None
            except StoppingError as error:
                if self._without_server is None:
                    raise
                log.warning("%s; going on without it", error.message)
                self._own = self._without_server()
            else:
                self._parts.remove(part)
                self._send_ahead()
                return found
        return part.compute(self._own)

    def _send_ahead(self) -> None:
        """Send the oldest parts, as many as the server accepts; what fails is sent again when its result is wanted."""
        sentences = 0
        for part in self._parts:
            sentences += part.count
            if sentences > MAX_OUTSTANDING or self._own is not None:
                return
            if part.number is None:
                try:
                    part.number = self._connection.send(part.build)
                except StoppingError:
                    return

    def _search(self, request: Request, inputs: Sequence[Any]) -> Part:
        part = replace(request, inputs=list(inputs))
        wanted = self.wanted.model_copy(
            update={
                "options": request.options,
                "nbest": request.nbest,
                "need_attention": request.need_attention,
                "count": len(inputs),
            }
        )
        return Part(
            len(inputs),
            functools.partial(search_message, part, wanted),
            parse_result,
            lambda engine: engine.start(part).result(),
        )

    def _force(self, sources: Sentences, targets: Sentences, need_attention: bool) -> Part:
        request = ForcedRequest(sources, targets, need_attention)
        wanted = self.wanted.model_copy(update={"need_attention": need_attention, "count": len(targets)})

        def compute(engine: Engine) -> list[ForcedSentence]:
            scores = cast(ScoringEngine, engine).force(sources, targets, need_attention=need_attention)
            return [score for _, score in sorted(scores, key=lambda one: one[0])]

        return Part(len(targets), functools.partial(force_message, request, wanted), parse_scores, compute)


@dataclass(frozen=True, slots=True)
class ServedSearch:
    """A search that a server computes."""

    engine: ServedEngine
    parts: list[Part]

    def result(self) -> list[list[Hypothesis]]:
        """Wait for the hypotheses of each source."""
        return [nbest for part in self.parts for nbest in self.engine.result(part)]


@contextmanager
def open_translator(config: TranslatorConfig, *, use_server: bool) -> Iterator[Translator[Engine]]:
    """Yield a translator that a server of this host computes for or, if there is none, one on a device of its own.

    A device other than `auto` is never a server's. Raises: see `loading.load_translator`.
    """
    with ExitStack() as resources:

        def load_here(wait: float) -> Translator[Engine]:
            from s2s.decoding.loading import load_translator

            return resources.enter_context(load_translator(replace(config, wait=wait)))

        connection = Connection.open() if use_server and config.device == "auto" else None
        if connection is None:
            yield load_here(config.wait)
            return
        resources.enter_context(connection)
        wait = max(config.wait, HANDOVER_SECONDS)
        try:
            models = combine(connection.describe(config.models), config)
            engine = ServedEngine(connection, wanted_of(models, config), lambda: load_here(wait).engine)
        except ResourceError as error:
            log.warning("not using the server: %s", error.described)
            yield load_here(wait)
            return
        log.info("using the server of %s (pid %d): %s", connection.user, connection.pid, engine.describe())
        yield Translator(engine, models.tokenizer, models.settings, models.profile)


@contextmanager
def served_translator(
    config: TranslatorConfig, keep_alive: float | None = None, timeout: float | None = None, *, idle: bool = False
) -> Iterator[Translator[ServedEngine]]:
    """Yield a translator that a server computes for.

    `keep_alive`: seconds that the model stays loaded afterwards, -1 for ever. `timeout`: seconds for everything.
    `idle`: compute only while no other request waits, and make no room for the model.
    Raises: UsageError if models and options are incompatible, BusyError if the server has too much to do, StoppingError
    if it has ended, ResourceError if the model cannot be loaded, TimeoutError.
    """
    connection = Connection.open(timeout)
    if connection is None:
        raise StoppingError(GONE)
    with connection:
        models = combine(connection.describe(config.models), config)
        wanted = wanted_of(models, config).model_copy(update={"keep_alive": keep_alive, "idle": idle})
        yield Translator(ServedEngine(connection, wanted), models.tokenizer, models.settings, models.profile)


@contextmanager
def open_scorer(config: TranslatorConfig, *, use_server: bool) -> Iterator[Translator[ScoringEngine]]:
    """Yield a translator that also scores: with PyTorch, as `config` must say. See `open_translator`."""
    with open_translator(config, use_server=use_server) as translator:
        yield cast(Translator[ScoringEngine], translator)


def server_status(timeout: float | None = None) -> ServerStatus:
    """Return what the server of this machine does.

    `timeout`: seconds to wait for it. Raises: StoppingError if there is none, TimeoutError.
    """
    connection = Connection.open(timeout)
    if connection is None:
        raise StoppingError(GONE)
    with connection:
        return connection.status()


def wanted_of(models: CombinedModels, config: TranslatorConfig) -> Wanted:
    """Return what requests for models ask for."""
    return Wanted(
        key=ModelKey(models=models.references, engine=config.engine, precision=config.precision),
        options=models.settings.decoding,
        nbest=config.nbest,
        need_attention=config.need_attention,
        prefixes=config.prefixes,
        images=config.images,
    )


def _cut(sizes: Sequence[int]) -> Iterator[slice]:
    """Yield the parts of a request whose items take `sizes` bytes in a message or its answer."""
    start, size = 0, 0
    for index, own in enumerate(sizes):
        if index > start and (index - start == MAX_SOURCES or size + own > MAX_PART_BYTES):
            yield slice(start, index)
            start, size = index, 0
        size += own
    if sizes:
        yield slice(start, len(sizes))


def _bytes(one: DecodingInput, request: Request) -> int:
    """Return the bytes that a source and its hypotheses, at most, take in messages."""
    source = one.source
    if isinstance(source, Image):
        return source.pixels.nbytes
    weights = len(source) + 1 if request.need_attention else 0
    return 4 * len(source) + 4 * request.nbest * one.max_length * (1 + weights)
