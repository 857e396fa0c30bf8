"""The process of a model, as the server sees it, with threads that pretend to be one."""

import asyncio
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.forkserver import ForkServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s2s.decoding.loading import EngineSelection
from s2s.errors import ArtefactError, UsageError
from s2s.serving import model_process
from s2s.serving.messages import ModelKey, error_message
from s2s.serving.model_process import EndedError, LoadError, ModelProcess
from s2s.serving.protocol import Message, receive_now

KEY = ModelKey(models=("a:1",))
READY = Message({"type": "ready", "engine": "PyTorch, fp32", "bytes": 5})
ASKED = Message({"type": "search", "id": 7})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a coroutine with a process that does what a function does with its end of the connection."""

    def run(process: Callable[[socket.socket], None], body: Callable[[ModelProcess], Any], exit_code: int = 1) -> None:
        def spawn(connection: socket.socket, *_: Any) -> Any:
            own = connection.dup()

            def live() -> None:
                with own:
                    process(own)

            threading.Thread(target=live, daemon=True).start()
            return SimpleNamespace(
                join=lambda _=None: None, is_alive=lambda: False, kill=lambda: None, exitcode=exit_code
            )

        async def main() -> None:
            async with asyncio.timeout(20):
                await body(ModelProcess(KEY, EngineSelection("pytorch", "fp32", ""), "cpu"))

        monkeypatch.setattr(model_process, "_spawn", spawn)
        asyncio.run(main())

    return run


def test_answers_go_to_those_who_asked(started):
    def process(own: socket.socket) -> None:
        own.sendall(READY.encode())
        first, second = receive_now(own), receive_now(own)
        for one in (second, first):
            own.sendall(Message({"type": "result", "id": one.values["id"], "tokens": 3}).encode())
        receive_now(own)

    async def body(found: ModelProcess) -> None:
        await found.start()
        one, other = await asyncio.gather(found.ask(ASKED, 1, 2), found.ask(Message({"type": "search", "id": 8}), 2, 1))
        assert (one.values["id"], other.values["id"], found.outstanding) == (7, 8, 0)
        assert (found.counters.requests, found.counters.sentences, found.counters.tokens) == (2, 3, 6)
        await found.stop()

    started(process, body)


def test_cancelling_a_request_cancels_those_of_its_client(started):
    received = []

    def process(own: socket.socket) -> None:
        own.sendall(READY.encode())
        while message := receive_now(own):
            received.append(message.values)

    async def body(found: ModelProcess) -> None:
        await found.start()
        asked = asyncio.create_task(found.ask(ASKED, 3, 2))
        while not received:
            await asyncio.sleep(0.001)
        asked.cancel()
        while len(received) < 2:
            await asyncio.sleep(0.001)
        assert (received[1], found.outstanding) == ({"type": "cancel", "client": 3}, 0)
        await found.stop()

    started(process, body)


def test_signals_to_the_group_end_no_process_of_a_model():
    server = ForkServer()
    server.set_forkserver_preload(model_process.PRELOADED[:1])
    server.ensure_running()
    wanted = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    until = time.monotonic() + 20
    while not ignored_signals(server._forkserver_pid) >= wanted:
        assert time.monotonic() < until
        time.sleep(0.01)
    server._stop()


def ignored_signals(pid: int) -> set[int]:
    (mask,) = re.findall(r"SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def test_a_request_that_grows_on_its_way_is_refused_alone(started):
    def process(own: socket.socket) -> None:
        own.sendall(READY.encode())
        while message := receive_now(own):
            own.sendall(Message({"type": "result", "id": message.values["id"]}).encode())

    async def body(found: ModelProcess) -> None:
        await found.start()
        with pytest.raises(ArtefactError, match="more bytes than a message may have"):  # six in ASCII for two in UTF-8
            await found.ask(Message(ASKED.values | {"more": "é" * 200_000}), 1, 2)
        assert (await found.ask(ASKED, 2, 3)).values["id"] == 7
        await found.stop()

    started(process, body)


@pytest.mark.parametrize("last_words", [b"", b"\xff" * 40, b"\0\0\0\2\0\0\0\0[]"], ids=["nothing", "junk", "no object"])
def test_requests_fail_when_the_process_ends_or_says_nonsense(started, last_words):
    def process(own: socket.socket) -> None:
        own.sendall(READY.encode())
        receive_now(own)
        own.sendall(last_words)

    async def body(found: ModelProcess) -> None:
        await found.start()
        with pytest.raises(EndedError, match="was killed, perhaps because memory ran out"):
            await found.ask(ASKED, 1, 2)
        assert not found.is_alive
        assert found.outstanding == 0

    started(process, body, exit_code=-9)


@pytest.mark.parametrize(
    ("words", "exit_code", "out_of_memory"),
    [
        (b"", -9, True),
        (b"", 1, False),
        (error_message(UsageError("no such engine"), 0).encode(), 0, False),
        (Message(error_message(MemoryError(), 0).values | {"out_of_memory": True}).encode(), 0, True),
    ],
    ids=["killed", "crashed", "an error", "out of memory"],
)
def test_why_a_model_is_not_loaded(started, words, exit_code, out_of_memory):
    async def body(found: ModelProcess) -> None:
        with pytest.raises(LoadError) as caught:
            await found.start()
        assert caught.value.out_of_memory is out_of_memory
        assert not found.is_alive
        assert "no such engine" in caught.value.message or "a:1" in caught.value.message or out_of_memory

    started(lambda own: own.sendall(words), body, exit_code)
