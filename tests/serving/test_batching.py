"""Batches from the requests of several clients."""

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.serving.batching import Job, Scheduler


class Clients:
    """Jobs whose items are their lengths, and what became of them."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.answers: dict[str, list[Any]] = {}
        self.errors: dict[str, Exception] = {}

    def add(self, name: str, lengths: list[int], budget: int = 30, client: str = "ann", **given: Any) -> None:
        self.scheduler.add(
            Job(
                client=client,
                group=given.pop("group", ""),
                contents=[f"{name}{index}" for index in range(len(lengths))],
                lengths=lengths,
                budget=budget,
                done=lambda results: self.answers.update({name: results}),
                failed=lambda error: self.errors.update({name: error}),
                **given,
            )
        )

    def batch(self) -> list[str]:
        """Compute a batch: the results are its contents in capitals."""
        batch = self.scheduler.next_batch()
        contents = [item.content for item in batch]
        self.scheduler.complete(batch, [content.upper() for content in contents])
        return contents


@pytest.fixture
def clients() -> Clients:
    return Clients()


def test_similar_lengths_of_several_requests_are_together(clients):
    clients.add("a", [9, 2, 30])
    clients.add("b", [10, 3, 8], client="bob")
    assert clients.batch() == ["b0", "a0", "b2"]  # 3 × 10 tokens, longest first
    assert clients.batch() == ["b1", "a1"]
    assert clients.answers == {"b": ["B0", "B1", "B2"]}
    assert clients.batch() == ["a2"]
    assert clients.answers["a"] == ["A0", "A1", "A2"]


def test_an_item_longer_than_the_budget_is_alone(clients):
    clients.add("a", [99, 98])
    assert [clients.batch(), clients.batch()] == [["a0"], ["a1"]]


def test_clients_take_turns(clients):
    clients.add("book", [10] * 12)
    assert len(clients.batch()) == 3
    clients.add("line", [3], client="bob", group="other")
    batches = [clients.batch(), clients.batch()]
    assert ["line0"] in batches


def test_groups_are_apart(clients):
    clients.add("a", [5, 5])
    clients.add("b", [5], group="sampled")
    assert [clients.batch(), clients.batch()] == [["a0", "a1"], ["b0"]]


def test_idle_work_waits_until_nothing_else_does(clients):
    clients.add("shadow", [5], idle=True, group="idle", client="shadow")
    clients.add("a", [20, 20])
    assert [clients.batch() for _ in range(3)] == [["a0"], ["a1"], ["shadow0"]]


def test_a_client_that_left_gets_nothing(clients):
    clients.add("a", [20, 20], client="left")
    clients.add("b", [20])
    running = clients.scheduler.next_batch()
    clients.scheduler.cancel("left")
    clients.scheduler.complete(running, ["X"])
    assert (clients.batch(), clients.scheduler.waiting, clients.scheduler.running) == (["b0"], 0, 0)
    assert clients.answers == {"b": ["B0"]}


def test_an_error_answers_each_request_of_its_batch_once(clients):
    clients.add("a", [9, 9, 30])
    clients.add("b", [9], client="bob")
    batch = clients.scheduler.next_batch()
    clients.scheduler.fail(batch, ValueError("broken"))
    assert set(clients.errors) == {"a", "b"}
    assert clients.scheduler.waiting == 0
    clients.add("c", [5])
    assert clients.batch() == ["c0"]


def test_a_batch_is_waited_for(clients):
    found = []
    thread = threading.Thread(target=lambda: found.append(clients.batch()))
    thread.start()
    clients.add("a", [5])
    thread.join(10)
    assert found == [["a0"]]


def test_threads_that_wait_share_a_request(clients):
    found = []
    threads = [threading.Thread(target=lambda: found.append(clients.scheduler.next_batch()), daemon=True) for _ in "ab"]
    for one in threads:
        one.start()
    while len(clients.scheduler._changed._waiters) < len(threads):
        time.sleep(0.001)
    clients.add("a", [20, 20])
    for one in threads:
        one.join(5)
    assert [len(batch) for batch in found] == [1, 1]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 40), min_size=1, max_size=9)), max_size=12))
def test_every_item_is_computed_once_within_the_budget(requests):
    clients = Clients()
    for number, (client, lengths) in enumerate(requests):
        clients.add(f"{number}-", lengths, client=client, group=number % 2)
    seen = []
    while clients.scheduler.waiting:
        batch = clients.scheduler.next_batch()
        assert len(batch) == 1 or len(batch) * max(item.length for item in batch) <= 30
        assert [item.length for item in batch] == sorted((item.length for item in batch), reverse=True)
        seen += [item.content for item in batch]
        clients.scheduler.complete(batch, [item.content for item in batch])
    expected = {f"{n}-": [f"{n}-{i}" for i in range(len(lengths))] for n, (_, lengths) in enumerate(requests)}
    assert clients.answers == expected
    assert sorted(seen) == sorted(content for contents in expected.values() for content in contents)
