"""What a client sends to a server, with one that only pretends to compute."""

from collections.abc import Callable
from typing import Any

import pytest

from s2s.decoding.engine import DecodingInput, Hypothesis, Request
from s2s.recipe.decoding import DecodingOptions
from s2s.serving import client
from s2s.serving.client import ServedEngine
from s2s.serving.messages import ModelKey, Wanted, parse_search, result_message
from s2s.serving.protocol import Message
from s2s.serving.status import BusyError, StoppingError

WANTED = Wanted(key=ModelKey(models=("a:1",)), options=DecodingOptions())


class FakeConnection:
    """A connection to a server that answers each source with itself."""

    device = "cpu"

    def __init__(self) -> None:
        self.counts: list[int] = []  # sources of each message
        self.waiting: dict[int, list[list[int]]] = {}  # sources that are not answered, by the number of their message
        self.most = 0  # sources that were not answered, at most
        self.failures: list[Exception] = []  # instead of the next answers

    def load(self, _: Wanted) -> Message:
        return Message({"engine": "PyTorch, fp32"})

    def send(self, build: Callable[[int], Message]) -> int:
        message = build(len(self.counts))
        wanted = Wanted.parse(message.values["wanted"])
        sources: list[Any] = [one.source for one in parse_search(message, wanted, 99).inputs]
        self.waiting[len(self.counts)] = sources
        self.most = max(self.most, sum(map(len, self.waiting.values())))
        self.counts.append(len(sources))
        return len(self.counts) - 1

    def wait(self, number: int) -> Message:
        sources = self.waiting.pop(number)
        if self.failures:
            raise self.failures.pop(0)
        return result_message([[Hypothesis(one, -1.0, -1.0, truncated=False)] for one in sources], number)


class Own:
    """An engine that answers each source with its tokens in reverse."""

    def start(self, request: Request) -> Any:
        self.found = [[Hypothesis(one.source[::-1], -1.0, -1.0, truncated=False)] for one in request.inputs]
        return self

    def result(self) -> list[list[Hypothesis]]:
        return self.found


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


def request(*sources: list[int], **given: Any) -> Request:
    return Request([DecodingInput(one, 20) for one in sources], WANTED.options, **given)


def tokens(found: list[list[Hypothesis]]) -> list[list[int]]:
    return [nbest[0].tokens for nbest in found]


def test_a_long_request_is_sent_in_parts_as_the_server_accepts_them(connection, monkeypatch):
    monkeypatch.setattr(client, "MAX_SOURCES", 2)
    monkeypatch.setattr(client, "MAX_OUTSTANDING", 5)
    engine = ServedEngine(connection, WANTED)
    sources = [[number, 40 + number] for number in range(9)]
    searches = [engine.start(request(*sources[:7])), engine.start(request(*sources[7:]))]
    assert connection.counts == [2, 2]
    assert [one for search in searches for one in tokens(search.result())] == sources
    assert (connection.counts, connection.most) == ([2, 2, 2, 1, 2], 5)


def test_what_the_server_is_too_busy_for_is_sent_again(connection):
    connection.failures = [BusyError("full", 0.0)]
    engine = ServedEngine(connection, WANTED, Own)  # type: ignore[arg-type]
    assert tokens(engine.start(request([4, 5])).result()) == [[4, 5]]
    connection.failures = [BusyError("full", 0.0)]
    with pytest.raises(BusyError):
        ServedEngine(connection, WANTED).start(request([4, 5])).result()


def test_what_a_server_that_ends_has_not_answered_is_computed_without_it(connection, monkeypatch):
    monkeypatch.setattr(client, "MAX_SOURCES", 1)
    engine = ServedEngine(connection, WANTED, Own)  # type: ignore[arg-type]
    search = engine.start(request([4, 5], [6, 7], [8, 9]))
    assert tokens(engine.result(search.parts[0])) == [[4, 5]]
    connection.failures = [StoppingError("it has ended")]
    assert tokens([*engine.result(search.parts[1]), *engine.result(search.parts[2])]) == [[7, 6], [9, 8]]


@pytest.mark.parametrize(
    ("given", "parts"),
    [({"nbest": 1}, [3]), ({"nbest": 5}, [2, 1]), ({"nbest": 1, "need_attention": True}, [2, 1])],
)
def test_answers_fit_into_messages(connection, monkeypatch, given, parts):
    monkeypatch.setattr(client, "MAX_PART_BYTES", 1000)
    ServedEngine(connection, WANTED).start(request([4, 5, 6], [7, 8, 9], [10, 11, 12], **given))
    assert connection.counts == parts
