"""A process that holds a model, as the server sees it: start it, ask it, stop it."""

import asyncio
import contextlib
import logging
import multiprocessing
import socket
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from s2s.decoding.loading import EngineSelection
from s2s.errors import ArtefactError, ResourceError, S2SError
from s2s.serving.messages import ModelKey, parse_error
from s2s.serving.protocol import Message
from s2s.serving.streams import receive
from s2s.serving.worker import run_worker

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0  # that a process may take to end
PRELOADED = ["s2s.serving.fork_server", run_worker.__module__, "s2s.decoding.pytorch_engine"]


class LoadError(S2SError):
    """A model could not be loaded."""

    def __init__(self, error: S2SError, *, out_of_memory: bool) -> None:
        super().__init__(error.message, error.hint)
        self.error = error
        self.out_of_memory = out_of_memory


class EndedError(ResourceError):
    """The process of a model ended while it had requests."""


@dataclass(slots=True)
class Counters:
    """What a process has done since it was started."""

    requests: int = 0
    sentences: int = 0
    tokens: int = 0  # of outputs
    busy_seconds: float = 0.0


class ModelProcess:
    """A process that holds a model."""

    def __init__(self, key: ModelKey, selection: EngineSelection, device: str) -> None:
        self.key = key
        self.engine = ""  # `PyTorch, bf16`; empty while loading
        self.bytes = 0  # measured; 0 while loading
        self.load_seconds = 0.0
        self.running = 0  # sentences in the batch that is being computed
        self.outstanding = 0  # sentences that are not answered, those of that batch included
        self.counters = Counters()
        self._arguments = (key, selection, device)
        self._process: BaseProcess | None = None
        self._listening: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._number = 0

    async def start(self) -> None:
        """Start the process and wait until it has loaded the model. Raises: LoadError."""
        started = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.to_thread(_spawn, theirs, *self._arguments)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        first = await receive(self._reader)
        if first is None or first.type != "ready":
            await self.stop()
            error = parse_error(first) if first else ResourceError(f"{self.key.name} {self._describe_end()}")
            killed = first is None and self._process.exitcode == -9
            raise LoadError(error, out_of_memory=killed or bool(first and first.values.get("out_of_memory")))
        self.engine, self.bytes = first.values["engine"], first.values["bytes"]
        self.load_seconds = time.monotonic() - started
        self._listening = asyncio.create_task(self._listen())

    async def ask(self, message: Message, client: int, sentences: int) -> Message:
        """Send a request and return its answer, with the request's own id; cancelling cancels all of the client's.

        Raises: EndedError if the process ends first, ArtefactError if the request is too long.
        """
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self.outstanding += sentences
        self.counters.requests += 1
        try:
            self._write(Message(message.values | {"id": number, "client": client}, message.payload))
            found = await answer
            self.counters.sentences += sentences
            self.counters.tokens += found.values.get("tokens", 0)
            return Message(found.values | {"id": message.values["id"]}, found.payload)
        except asyncio.CancelledError:
            with contextlib.suppress(EndedError):
                self._write(Message({"type": "cancel", "client": client}))
            raise
        finally:
            self.outstanding -= sentences
            self._answers.pop(number, None)

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        self._writer.close()
        process = self._process
        assert process is not None
        await asyncio.to_thread(process.join, STOP_SECONDS)
        if process.is_alive():
            process.kill()
            await asyncio.to_thread(process.join)

    def kill(self) -> None:
        """End the process at once, if it has been started; `start` then raises LoadError."""
        if self._process:
            self._process.kill()

    @property
    def is_alive(self) -> bool:
        """Whether the process can be asked."""
        return self._listening is not None and not self._listening.done()

    async def _listen(self) -> None:
        """Hand out answers until the process ends."""
        assert self._process is not None
        try:
            while message := await receive(self._reader):
                if message.type == "report":
                    self._note(message.values)
                elif (answer := self._answers.get(message.values["id"])) and not answer.done():
                    answer.set_result(message)
        except (OSError, ArtefactError) as error:
            log.warning("%s: %s; ending its process", self.key.name, error)
            self._process.kill()
        await asyncio.to_thread(self._process.join, STOP_SECONDS)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(EndedError(f"{self.key.name} {self._describe_end()}"))

    def _note(self, report: dict[str, Any]) -> None:
        self.running, self.bytes = report["running"], report["bytes"]
        self.counters.busy_seconds = report["busy_seconds"]

    def _write(self, message: Message) -> None:
        if self._writer.is_closing():
            raise EndedError(f"{self.key.name} {self._describe_end()}")
        self._writer.write(message.encode())

    def _describe_end(self) -> str:
        code = self._process.exitcode if self._process else None
        if code == -9:
            return "was killed, perhaps because memory ran out"
        return f"ended unexpectedly (exit code {code})"


def _spawn(connection: socket.socket, key: ModelKey, selection: EngineSelection, device: str) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")  # a new process then shares torch, already imported
    context.set_forkserver_preload(PRELOADED)
    process: BaseProcess = context.Process(
        target=run_worker, args=(connection, key, selection, device), name=key.name, daemon=True
    )
    process.start()
    return process
