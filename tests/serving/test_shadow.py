"""Which requests shadow mode compares, without a process that does."""

import socket
from types import SimpleNamespace

import pytest

from s2s.errors import ResourceError
from s2s.recipe.decoding import DecodingOptions
from s2s.serving import shadow
from s2s.serving.comparison import Comparison
from s2s.serving.messages import ModelKey, Wanted
from s2s.serving.protocol import Message
from s2s.serving.shadow import Shadow, ShadowProcess
from s2s.serving.status import StoppingError

WANTED = Wanted(key=ModelKey(models=("a:1",)), options=DecodingOptions(), count=3)
SAMPLED = DecodingOptions(sample=True)


def offered(wanted: Wanted, *, production: int = 1, waiting: int = 0) -> tuple[bool, int]:
    """Whether a request for which the candidate is `a:2` is handed on, and how many sentences were dropped."""
    found = Shadow("a", "best", "a:2", production, looked=float("inf"))
    process, written = ShadowProcess([found]), []
    process._writer = SimpleNamespace(  # type: ignore[assignment]
        is_closing=lambda: False,
        transport=SimpleNamespace(get_write_buffer_size=lambda: waiting),
        write=written.append,
    )
    process.offer(Message({"wanted": wanted.model_dump_json()}, b"12345"), Message({}, b"1234567"))
    return len(written) == 2, found.dropped


@pytest.mark.parametrize(
    ("changes", "handed_on"),
    [
        ({}, True),
        ({"idle": True}, False),
        ({"images": True}, False),
        ({"prefixes": True}, False),
        ({"options": SAMPLED}, False),
        ({"key": ModelKey(models=("a:2",))}, False),
        ({"key": ModelKey(models=("a:1", "a:2"))}, False),
    ],
)
def test_only_translations_of_what_is_in_production_are_compared(changes, handed_on):
    assert offered(WANTED.model_copy(update=changes)) == (handed_on, 0)


def test_nothing_is_compared_once_the_alias_has_moved_to_the_candidate():
    assert offered(WANTED.model_copy(update={"key": ModelKey(models=("a:2",))}), production=2) == (False, 0)


def test_what_fails_does_not_end_the_process(monkeypatch):
    failures: list[Exception | None] = [StoppingError("no connection left"), None, None]
    saved = []

    def add(comparison: Comparison, *_: Message) -> Comparison:
        if error := failures.pop(0):
            raise error
        return comparison

    def save(comparison: Comparison) -> None:
        saved.append(comparison)
        if len(saved) == 1:
            raise ResourceError("the disk is full")

    monkeypatch.setattr(shadow, "die_with_parent", lambda: None)
    monkeypatch.setattr(shadow.signal, "signal", lambda *_: None)
    monkeypatch.setattr(shadow, "_add", add)
    monkeypatch.setattr(Comparison, "save", save)
    server, process = socket.socketpair()
    with process:
        with server:
            for _ in range(3):
                for values in ({"shadow": 0, "production": "a:1", "dropped": 0}, {}):
                    server.sendall(Message(values).encode())
        shadow._compare(process, [Shadow("a", "best", "a:2", 1)])
    assert len(saved) == 2


def test_requests_are_dropped_while_too_much_waits():
    assert offered(WANTED, waiting=shadow.MAX_WAITING - 11) == (False, 3)
    assert offered(WANTED, waiting=shadow.MAX_WAITING - 12) == (True, 0)
