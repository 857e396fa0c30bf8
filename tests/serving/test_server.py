"""The server, with models that only pretend to compute."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s2s.decoding.engine import Hypothesis
from s2s.errors import ArtefactError, UsageError
from s2s.recipe.decoding import DecodingOptions
from s2s.registry.store import Registry
from s2s.serving import server, worker
from s2s.serving.client import Connection
from s2s.serving.messages import ModelKey, Wanted, parse_error, parse_result
from s2s.serving.model_process import EndedError
from s2s.serving.protocol import VERSION, Message, receive_now
from s2s.serving.server import Server
from s2s.serving.sockets import Peer
from s2s.serving.status import BusyError, StoppingError

STRANGER = 65_533
WANTED = Wanted(key=ModelKey(models=("a:1",)), options=DecodingOptions(), count=2).model_dump_json()


class FakeModels:
    """Models whose answers a test chooses."""

    device, budget, used, loads, evictions = "cpu", 1, 0, 0, 0

    def __init__(self) -> None:
        self.failures = 0  # processes that end before they answer
        self.payload = b""
        self.loop = asyncio.get_running_loop()
        self.release = asyncio.Event()  # of answers
        self.held = False
        self.asked = 0

    @contextlib.asynccontextmanager
    async def use(self, *_: Any, **__: Any) -> Any:
        yield SimpleNamespace(process=self)

    async def ask(self, message: Message, client: int, sentences: int) -> Message:
        self.asked += 1
        if self.held:
            await self.release.wait()
        if self.failures:
            self.failures -= 1
            raise EndedError("a:1 was killed")
        return Message({"type": "result", "id": message.values["id"]}, self.payload)

    def status(self) -> list[Any]:
        return []

    def find(self, _: str) -> list[Any]:
        return []

    async def unload_all(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeModels]:
    """Serve while a function runs in a thread, with an address to connect to."""
    monkeypatch.setattr(server, "_selection", lambda *_: SimpleNamespace(name="pytorch", precision="fp32"))

    def run(body: Callable[[Callable[[], socket.socket], FakeModels, Server], None], **changes: Any) -> FakeModels:
        async def main() -> FakeModels:
            models = FakeModels()
            for name, value in changes.items():
                setattr(models, name, value)
            found = Server(Registry(tmp_path), models)  # type: ignore[arg-type]
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(tmp_path / "s"))
                listener.listen()
                serving = asyncio.create_task(found.run(listener, []))

                def connect() -> socket.socket:
                    stream = socket.socket(socket.AF_UNIX)
                    stream.settimeout(20)
                    stream.connect(str(tmp_path / "s"))
                    return stream

                try:
                    async with asyncio.timeout(60):
                        await asyncio.to_thread(body, connect, models, found)
                finally:
                    models.release.set()
                    found._stop()
                    await serving
            return models

        return asyncio.run(main())

    return run


def ask(stream: socket.socket, number: int = 1, **values: Any) -> None:
    stream.sendall(Message({"type": "search", "wanted": WANTED, "id": number} | values, b"").encode())


def greeted(connect: Callable[[], socket.socket]) -> socket.socket:
    stream = connect()
    assert receive_now(stream).values["type"] == "hello"
    return stream


def is_dropped(stream: socket.socket) -> bool:
    try:
        return receive_now(stream) is None
    except ConnectionResetError:
        return True


def test_answers_carry_the_number_of_their_request(serve):
    def body(connect, *_):
        with greeted(connect) as stream:
            for number in (7, 3):
                ask(stream, number)
            assert {receive_now(stream).values["id"] for _ in range(2)} == {3, 7}

    serve(body)


@pytest.mark.parametrize(
    "junk",
    [b"\xff" * 64, b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{}", Message({"type": "search", "id": "1"}).encode()],
    ids=["lengths", "no object", "no id", "an id that is no number"],
)
def test_who_sends_junk_is_dropped_alone(serve, junk):
    def body(connect, *_):
        with greeted(connect) as stream, greeted(connect) as other:
            stream.sendall(junk)
            assert is_dropped(stream)
            ask(other)
            assert receive_now(other).type == "result"

    serve(body)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"type": "nothing"}, "unknown type"),
        ({"wanted": "{}"}, "key"),
        ({"type": "stop", "model": "a:1"}, "not loaded"),
        ({"type": "describe"}, "a list of 1 to 16 references"),
        ({"type": "describe", "models": ["a"] * 17}, "a list of 1 to 16 references"),
        ({"type": "describe", "models": ["nothing"]}, "nothing"),
        ({"type": "describe", "models": [{}]}, "{}"),
    ],
)
def test_what_cannot_be_done_is_said(serve, values, words):
    def body(connect, *_):
        with greeted(connect) as stream:
            ask(stream, **values)
            error = parse_error(receive_now(stream))
            assert isinstance(error, UsageError)
            assert words in error.message

    serve(body)


def test_half_a_message_is_not_waited_for(serve, monkeypatch):
    monkeypatch.setattr(server, "MESSAGE_SECONDS", 0.1)

    def body(connect, *_):
        with greeted(connect) as stream, greeted(connect) as idle:
            stream.sendall(b"\0\0")
            assert is_dropped(stream)
            ask(idle)  # a connection may rest between messages
            assert receive_now(idle).type == "result"

    serve(body)


def test_who_does_not_read_is_dropped(serve, monkeypatch):
    monkeypatch.setattr(server, "MESSAGE_SECONDS", 0.2)

    def body(connect, models, found):
        with greeted(connect) as lazy, greeted(connect) as other:
            for number in range(4):
                ask(lazy, number)
            for _ in range(100):
                if len(found._clients) == 1:
                    break
                threading.Event().wait(0.05)
            assert len(found._clients) == 1
            models.payload = b""
            ask(other)
            assert receive_now(other).type == "result"

    serve(body, payload=b"x" * 2**22)


def test_too_many_sentences_are_refused(serve, monkeypatch):
    monkeypatch.setattr(server, "MAX_OUTSTANDING", 4)
    monkeypatch.setattr(server, "MAX_QUEUED", 7)

    def body(connect, models, found):
        with greeted(connect) as stream, greeted(connect) as other:
            for number in range(3):
                ask(stream, number)
            assert isinstance(parse_error(receive_now(stream)), BusyError)
            ask(other)  # another client's
            while models.asked < 3:
                threading.Event().wait(0.01)
            ask(other)  # too many of all clients
            assert isinstance(parse_error(receive_now(other)), BusyError)
            models.loop.call_soon_threadsafe(models.release.set)
            assert {receive_now(stream).type for _ in range(2)} == {"result"}
            assert receive_now(other).type == "result"
            assert found.refused == 2

    serve(body, held=True)


def test_a_process_that_ends_is_asked_again_once(serve):
    def body(connect, models, _):
        with greeted(connect) as stream:
            ask(stream)
            assert receive_now(stream).type == "result"
            models.failures = 2
            ask(stream)
            assert "was killed" in parse_error(receive_now(stream)).message

    assert serve(body, failures=1).asked == 4


def test_too_many_connections_are_refused(serve, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)

    def body(connect, *_):
        with greeted(connect), greeted(connect), connect() as third:
            assert is_dropped(third)

    serve(body)


@pytest.mark.parametrize(
    ("user", "groups", "enters"),
    [(0, (), True), (os.getuid(), (), True), (STRANGER, (7, STRANGER), False), (STRANGER, (7, 8), True)],
    ids=["root", "the user", "a stranger", "a member"],
)
def test_who_may_enter(serve, monkeypatch, user, groups, enters):
    monkeypatch.setattr(server, "peer_of", lambda _: Peer(1, user, frozenset(groups)))

    def body(connect, _, found):
        found.group = 8
        with connect() as stream:
            assert is_dropped(stream) is not enters

    serve(body)


def test_a_server_that_stops_refuses_new_requests(serve):
    def body(connect, models, found):
        with greeted(connect) as stream:
            found._refusing = True
            ask(stream)
            assert isinstance(parse_error(receive_now(stream)), StoppingError)
            ask(stream, type="status")
            assert receive_now(stream).type == "status"

    serve(body)


def test_a_second_signal_ends_at_once(serve):
    def body(connect, models, found):
        with greeted(connect) as stream:
            ask(stream)
            while not models.asked:
                time.sleep(0.001)
            models.loop.call_soon_threadsafe(found._stop)
            stream.settimeout(0.1)
            with pytest.raises(TimeoutError):  # it is still answered
                receive_now(stream)
            models.loop.call_soon_threadsafe(found._stop)
            stream.settimeout(20)
            assert is_dropped(stream)

    serve(body, held=True)


def test_a_client_that_stays_connected_is_left_quietly(serve, caplog):
    streams = []
    serve(lambda connect, *_: streams.append(greeted(connect)))
    assert is_dropped(streams[0])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_signal_that_is_ignored_stays_ignored(serve):
    def body(*_):
        found.append(signal.getsignal(signal.SIGHUP))

    found: list[Any] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    serve(body)
    signal.signal(signal.SIGHUP, before)
    assert found == [signal.SIG_IGN]


def test_a_hello_of_another_protocol_is_no_server(monkeypatch):
    ours, theirs = socket.socketpair()
    theirs.sendall(Message({"type": "hello", "protocol": 99, "version": "9"}).encode())
    monkeypatch.setattr("s2s.serving.client.connect", lambda _: ours)
    assert Connection.open() is None
    theirs.close()


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_server_that_hangs_is_no_server(monkeypatch, timeout):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("s2s.serving.client.connect", lambda _: ours)
    monkeypatch.setattr("s2s.serving.client.HELLO_SECONDS", 0.05)
    started = time.monotonic()
    assert Connection.open(timeout) is None
    assert time.monotonic() - started < 4
    theirs.close()


def test_a_server_that_does_not_read_takes_too_long():
    ours, theirs = socket.socketpair()
    theirs.sendall(Message({"type": "hello", "protocol": VERSION, "pid": 5, "user": "me", "device": "cpu"}).encode())
    with Connection(ours, timeout=0.1) as connection, theirs, pytest.raises(TimeoutError):
        connection.send(lambda number: Message({"id": number}, b"x" * 2**24))


def test_an_answer_that_is_too_large_is_an_error(monkeypatch):
    monkeypatch.setattr(worker, "MAX_PAYLOAD", 3)
    ours, theirs = socket.socketpair()
    found = worker.Worker(theirs, SimpleNamespace(), 9, "cpu", SimpleNamespace())  # type: ignore[arg-type]
    found._send(Message({"type": "result", "id": 8}, b"1234"))
    answer = receive_now(ours)
    assert (answer.type, answer.values["id"]) == ("error", 8)
    assert "too large" in answer.values["message"]
    for one in (ours, theirs):
        one.close()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[socket.socket, worker.Worker, list[int]]]:
    """A connection to the process of a model, the process, and the exit codes with which it would have ended."""
    exits: list[int] = []
    monkeypatch.setattr(worker.os, "_exit", exits.append)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, worker.Worker(theirs, SimpleNamespace(), 9, "cpu", SimpleNamespace()), exits  # type: ignore[arg-type]


def test_what_nobody_waits_for_any_more_is_cancelled(reader):
    ours, found, exits = reader
    cancelled: list[int] = []
    found.scheduler.cancel = cancelled.append
    ours.sendall(Message({"type": "cancel", "client": 3}).encode())
    ours.close()
    found._read()
    assert (cancelled, exits) == ([3], [0])


def test_a_process_that_cannot_read_ends(reader):
    ours, found, exits = reader
    ours.sendall(b"\xff" * 8)
    with pytest.raises(ArtefactError):
        found._read()
    assert exits == [0]


def test_a_sentence_without_a_hypothesis_is_answered():
    answer = worker._answer("search", [[], [Hypothesis([5, 6], -1.0, -0.5, truncated=False)]], 8)
    assert (answer.values["tokens"], [len(nbest) for nbest in parse_result(answer)]) == (2, [0, 1])


def test_idle_work_waits_for_every_other_request(serve):
    idle = Wanted.parse(WANTED).model_copy(update={"idle": True}).model_dump_json()

    def body(connect, models, *_):
        with greeted(connect) as stream, greeted(connect) as other:
            ask(stream)
            while not models.asked:
                time.sleep(0.001)
            ask(other, wanted=idle)
            other.settimeout(0.1)
            with pytest.raises(TimeoutError):
                receive_now(other)
            assert models.asked == 1
            models.loop.call_soon_threadsafe(models.release.set)
            other.settimeout(20)
            assert [receive_now(one).type for one in (stream, other)] == ["result", "result"]

    assert serve(body, held=True).asked == 2
