"""The server: it accepts clients, has models loaded for them, and passes their requests on."""

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from s2s._version import __version__
from s2s.decoding.config import TranslatorConfig
from s2s.decoding.described_models import DescribedModel
from s2s.decoding.loading import EngineSelection, select_engine
from s2s.errors import ArtefactError, S2SError, UsageError
from s2s.io.processes import user_name
from s2s.recipe.decoding import DecodingOptions
from s2s.registry.store import Registry
from s2s.serving.messages import MAX_MODELS, MAX_OUTSTANDING, ModelKey, Wanted, error_message
from s2s.serving.model_process import EndedError, ModelProcess
from s2s.serving.protocol import VERSION, Message
from s2s.serving.resident_models import Resident, ResidentModels
from s2s.serving.shadow import ShadowProcess
from s2s.serving.sockets import peer_of
from s2s.serving.status import BusyError, ServerStatus, StoppingError
from s2s.serving.streams import receive

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
MAX_QUEUED = 65_536  # sentences of all clients
MESSAGE_SECONDS = 60.0  # that a message may take to arrive, and an answer to be read


class FrontEnd(Protocol):
    """Something that takes requests and passes them to the server."""

    async def stop(self) -> None:
        """Stop taking requests, and wait until those that were taken are answered."""
        ...


@dataclass(eq=False, slots=True)
class Client:
    """A connection, and the requests that came through it."""

    number: int
    writer: asyncio.StreamWriter
    outstanding: int = 0  # sentences that are not answered
    requests: "set[asyncio.Task[None]]" = field(default_factory=set)
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(self, message: Message) -> None:
        """Send a message. Raises TimeoutError if the client does not read it, OSError if it is gone."""
        async with self.sending:
            self.writer.write(message.encode())
            async with asyncio.timeout(MESSAGE_SECONDS):
                await self.writer.drain()

    def close(self) -> None:
        """Drop the connection and what it asked for."""
        for request in self.requests:
            request.cancel()
        self.writer.transport.abort()


class Server:
    """Accepts clients of a registry: this user, root and, with `group`, the members of a group."""

    def __init__(
        self,
        registry: Registry,
        models: ResidentModels,
        group: int | None = None,
        shadow: ShadowProcess | None = None,
    ) -> None:
        self.registry = registry
        self.models = models
        self.group = group
        self.shadow = shadow
        self.refused = 0  # requests, because of too many
        self._clients: set[Client] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._stop_wanted, self._end_now = asyncio.Event(), asyncio.Event()
        self._refusing = False
        self._urgent = 0  # requests that are not answered, apart from those for idle work
        self._quiet = asyncio.Event()  # whether there are none

    async def run(self, listener: socket.socket, front_ends: Sequence[FrontEnd]) -> None:
        """Serve until a signal; then answer what was accepted, and unload all models. A second signal ends at once.

        `front_ends` use the server, and are stopped before it refuses requests.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup, or in a shell's background
                asyncio.get_running_loop().add_signal_handler(number, self._stop)
        if self.shadow:
            await self.shadow.start()
        upkeep = asyncio.create_task(self.models.run())
        server = await asyncio.start_unix_server(self._serve, sock=listener)
        await self._stop_wanted.wait()
        log.info("stopping; %s", _unanswered(self.outstanding))
        rest = asyncio.create_task(self._finish(server, front_ends))
        await asyncio.wait([rest, asyncio.create_task(self._end_now.wait())], return_when=asyncio.FIRST_COMPLETED)
        for client in self._clients:
            client.close()
        await self.models.unload_all()
        upkeep.cancel()
        while self._clients:  # until the tasks that serve them have ended, too
            await asyncio.sleep(0)

    @property
    def outstanding(self) -> int:
        """Sentences that are not answered, those that wait for a model to be loaded included."""
        return sum(one.outstanding for one in self._clients)

    def status(self) -> ServerStatus:
        """Describe the server and its models."""
        return ServerStatus(
            pid=os.getpid(),
            user=user_name(),
            registry=str(self.registry.root),
            device=self.models.device,
            memory_budget=self.models.budget,
            memory_used=self.models.used,
            stopping=self._stop_wanted.is_set(),
            connections=len(self._clients),
            loads=self.models.loads,
            evictions=self.models.evictions,
            refused=self.refused,
            models=self.models.status(),
        )

    def _stop(self) -> None:
        if self._stop_wanted.is_set():
            self._end_now.set()
        self._stop_wanted.set()

    async def _finish(self, server: asyncio.Server, front_ends: Sequence[FrontEnd]) -> None:
        await asyncio.gather(*(one.stop() for one in front_ends))
        if self.shadow:
            await self.shadow.stop()
        server.close()
        self._refusing = True
        while self._requests:
            await asyncio.wait(self._requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client until it leaves."""
        client = Client(next(self._numbers), writer)
        if not self._may_enter(writer):
            client.close()
            return
        self._clients.add(client)
        try:
            await client.send(self._greeting())
            while (message := await receive(reader, MESSAGE_SECONDS)) is not None:
                request = asyncio.create_task(self._answer(client, message))
                for requests in (client.requests, self._requests):
                    requests.add(request)
                    request.add_done_callback(requests.discard)
        except (ArtefactError, OSError, TimeoutError) as error:
            log.debug("client %d: %s", client.number, error)
        finally:
            self._clients.discard(client)
            client.close()

    def _may_enter(self, writer: asyncio.StreamWriter) -> bool:
        peer = peer_of(writer.get_extra_info("socket"))
        known = peer.uid in {os.getuid(), 0} or self.group in peer.groups
        return known and len(self._clients) < MAX_CONNECTIONS

    def _greeting(self) -> Message:
        values = {"protocol": VERSION, "version": __version__, "pid": os.getpid(), "user": user_name()}
        return Message({"type": "hello", "device": self.models.device} | values)

    async def _answer(self, client: Client, message: Message) -> None:
        number = message.values.get("id")
        if type(number) is not int:
            client.close()
            return
        try:
            answer = await self._act(client, message)
        except S2SError as error:
            self.refused += isinstance(error, BusyError)
            answer = error_message(error, number)
        except Exception as error:
            log.exception("a request failed")
            answer = error_message(error, number)
        try:
            await client.send(answer)
        except (ArtefactError, OSError, TimeoutError):
            client.close()
        if self.shadow and message.type == "search" and answer.type == "result":
            self.shadow.offer(message, answer)

    async def _act(self, client: Client, message: Message) -> Message:
        """Do what a message asks for and return the answer."""
        values, number = message.values, message.values["id"]
        if message.type == "status":
            return Message({"type": "status", "id": number, "status": self.status().as_json()})
        if self._refusing:
            raise StoppingError("the server is stopping")
        match message.type:
            case "search" | "force":
                return await self._decode(client, message)
            case "load":
                return await self._load(Wanted.parse(values.get("wanted")), number)
            case "describe":
                described = await asyncio.to_thread(_describe, values.get("models"))
                return Message({"type": "described", "id": number, "models": described})
            case "stop":
                await asyncio.gather(*(self.models.unload(one) for one in self._found(values.get("model"))))
            case "pin":
                for one in self._found(values.get("model")):
                    one.pinned = values.get("pinned") is True
            case _:
                raise UsageError(f"request: unknown type {message.type!r}")
        return Message({"type": "done", "id": number})

    async def _decode(self, client: Client, message: Message) -> Message:
        """Have a model answer a request; once more if its process ends meanwhile."""
        wanted = Wanted.parse(message.values.get("wanted"))
        if client.outstanding + wanted.count > MAX_OUTSTANDING or self.outstanding + wanted.count > MAX_QUEUED:
            raise BusyError(f"the server has {self.outstanding:,} sentences to translate", 1.0)

        async def ask() -> Message:
            async with self._use(wanted) as process:
                return await process.ask(message, client.number, wanted.count)

        client.outstanding += wanted.count
        try:
            try:
                return await ask()
            except EndedError:
                return await ask()
        finally:
            client.outstanding -= wanted.count

    async def _load(self, wanted: Wanted, number: int) -> Message:
        async with self._use(wanted) as process:
            values = {"engine": process.engine, "bytes": process.bytes, "load_seconds": process.load_seconds}
            return Message({"type": "loaded", "id": number} | values)

    @contextlib.asynccontextmanager
    async def _use(self, wanted: Wanted) -> AsyncIterator[ModelProcess]:
        """Load a model unless it is loaded, and keep it while the block runs; idle work waits for its turn first."""
        selection = _selection(self.models.device, wanted.key, wanted.options, wanted.prefixes, wanted.images)
        key = ModelKey(models=wanted.key.models, engine=selection.name, precision=selection.precision)
        async with (
            self._turn(idle=wanted.idle),
            self.models.use(key, selection, wanted.keep_alive, make_room=not wanted.idle) as resident,
        ):
            yield resident.process

    @contextlib.asynccontextmanager
    async def _turn(self, *, idle: bool) -> AsyncIterator[None]:
        """Let idle work wait until no other request, of whatever model, is left: models share the device."""
        if idle:
            while self._urgent:
                await self._quiet.wait()
            yield
            return
        self._urgent += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._quiet.set()

    def _found(self, name: Any) -> list[Resident]:
        found = self.models.find(str(name))
        if not found:
            raise UsageError(f"{name} is not loaded", "s2s models ps lists what is")
        return found


def _describe(models: Any) -> list[dict[str, Any]]:
    """Describe the models that references resolve to now. Raises UsageError for an unknown one."""
    if not isinstance(models, list) or not 0 < len(models) <= MAX_MODELS:
        raise UsageError(f"request: models should be a list of 1 to {MAX_MODELS} references")
    registry = Registry.default()
    return [_described(registry.resolve(str(model)).reference) for model in models]


@functools.lru_cache(maxsize=1024)
def _described(reference: str) -> dict[str, Any]:
    return DescribedModel.of(Registry.default().resolve(reference)).as_dict()


@functools.lru_cache(maxsize=1024)
def _selection(device: str, key: ModelKey, options: DecodingOptions, prefixes: bool, images: bool) -> EngineSelection:
    recipe = Registry.default().resolve(key.models[0]).recipe()
    engine: Any = key.engine
    config = TranslatorConfig(key.models, "", engine, key.precision, prefixes=prefixes, images=images)
    return select_engine(recipe, device, options, config)


def _unanswered(sentences: int) -> str:
    return f"{sentences:,} sentences are still to be translated" if sentences else "nothing is left to do"
