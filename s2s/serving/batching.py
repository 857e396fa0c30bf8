"""Batches from the requests of all clients: the oldest first, filled with sources of similar length. Free of torch.

Items are added while a batch is computed and wait for the next one; no batch waits for more items.
"""

import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any


@dataclass(slots=True, eq=False)
class Job:
    """A request, whose items are computed in batches with those of other requests."""

    client: Hashable
    group: Hashable  # items of one group can be in one batch
    contents: Sequence[Any]  # what to compute, item by item
    lengths: Sequence[int]  # tokens of each item, EOS included
    budget: int  # tokens of a batch, padding included
    done: Callable[[list[Any]], None]  # called with the results of all items, in order
    failed: Callable[[Exception], None]
    idle: bool = False  # computed only while no other job waits
    results: dict[int, Any] = field(default_factory=dict)  # by item
    ended: bool = False  # answered or cancelled


@dataclass(slots=True, eq=False)
class Item:
    """A part of a job."""

    job: Job
    index: int
    number: int  # in the order of arrival
    taken: bool = False  # no longer waits

    @property
    def content(self) -> Any:
        """What to compute."""
        return self.job.contents[self.index]

    @property
    def length(self) -> int:
        """Tokens, EOS included."""
        return self.job.lengths[self.index]


class Scheduler:
    """The waiting items of a model, safe to use from several threads.

    Clients take turns: each batch begins with the oldest item of the next client, so a long document of one delays a
    line of another by one batch at most.
    """

    def __init__(self) -> None:
        self.waiting = 0  # items
        self.running = 0  # items in batches that are being computed
        self._changed = threading.Condition()
        self._groups: dict[Hashable, list[Item]] = {}  # waiting items, by length and number
        self._queues: dict[bool, dict[Hashable, deque[Item]]] = {False: {}, True: {}}  # by idle and client
        self._number = 0

    def add(self, job: Job) -> None:
        """Add the items of a job."""
        with self._changed:
            group = self._groups.setdefault(job.group, [])
            queue = self._queues[job.idle].setdefault(job.client, deque())
            for index in range(len(job.lengths)):
                self._number += 1
                item = Item(job, index, self._number)
                insort(group, item, key=_order)
                queue.append(item)
            self.waiting += len(job.lengths)
            self._changed.notify()

    def cancel(self, client: Hashable) -> None:
        """Forget what waits for a client, and drop the results of what is being computed for it."""
        with self._changed:
            self._drop({item.job for queues in self._queues.values() for item in queues.pop(client, ())})

    def next_batch(self) -> list[Item]:
        """Wait for items and return a batch of them, longest first."""
        with self._changed:
            while not self.waiting:
                self._changed.wait()
            first = self._next_in_turn()
            group = self._groups[first.job.group]
            start, end = _similar(group, first)
            batch = sorted(group[start:end], key=lambda item: (-item.length, item.number))
            del group[start:end]
            if not group:
                del self._groups[first.job.group]
            for item in batch:
                item.taken = True
            self.waiting -= len(batch)
            self.running += len(batch)
            if self.waiting:
                self._changed.notify()  # the next thread
            return batch

    def complete(self, batch: Sequence[Item], results: Iterable[Any]) -> None:
        """Store the results of a batch, and answer the jobs that are complete."""
        finished = []
        with self._changed:
            self.running -= len(batch)
            for item, result in zip(batch, results, strict=True):
                job = item.job
                job.results[item.index] = result
                if len(job.results) == len(job.lengths) and not job.ended:
                    job.ended = True
                    finished.append(job)
        for job in finished:
            job.done([job.results[index] for index in range(len(job.lengths))])

    def fail(self, batch: Sequence[Item], error: Exception) -> None:
        """Answer the jobs of a batch with an error, and forget their other items."""
        with self._changed:
            self.running -= len(batch)
            jobs = {item.job for item in batch if not item.job.ended}
            self._drop(jobs)
        for job in jobs:
            job.failed(error)

    def _next_in_turn(self) -> Item:
        """Return the oldest waiting item of the client whose turn it is."""
        for queues in (self._queues[False], self._queues[True]):
            while queues:
                client = next(iter(queues))
                queue = queues.pop(client)
                while queue and queue[0].taken:
                    queue.popleft()
                if queue:
                    queues[client] = queue  # now the last one
                    return queue.popleft()
        raise AssertionError("items wait, but no client has any")

    def _drop(self, jobs: set[Job]) -> None:
        """End jobs and forget their waiting items."""
        for job in jobs:
            job.ended = True
        for name, group in list(self._groups.items()):
            for item in group:
                item.taken |= item.job.ended
            left = [item for item in group if not item.taken]
            self.waiting -= len(group) - len(left)
            self._groups[name] = left
            if not left:
                del self._groups[name]


def _order(item: Item) -> tuple[int, int]:
    return item.length, item.number


def _similar(group: Sequence[Item], first: Item) -> tuple[int, int]:
    """Return the range of items around `first` that are nearest to it in length, as many as its budget allows."""
    start = bisect_left(group, _order(first), key=_order)
    end = start + 1
    while start > 0 or end < len(group):
        shorter = group[start - 1].length if start > 0 else -inf
        longer = group[end].length if end < len(group) else inf
        wider = (start - 1, end) if first.length - shorter <= longer - first.length else (start, end + 1)
        if (wider[1] - wider[0]) * group[wider[1] - 1].length > first.job.budget:
            break
        start, end = wider
    return start, end
