"""Compute results ahead of their use."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(
    executor: Executor, compute: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, while `executor` computes that of the next one."""
    waiting = None
    for item in items:
        started = item, executor.submit(compute, item)
        if waiting:
            yield waiting[0], waiting[1].result()
        waiting = started
    if waiting:
        yield waiting[0], waiting[1].result()
