"""Threads for requests, whose answers block."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

from s2s.serving.status import BusyError

WAITING = 256  # requests that wait for a thread
WAIT_SECONDS = 30.0  # that each of them may wait
T = TypeVar("T")


class Threads:
    """A number of threads, for which only so many requests wait, and only so long."""

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)
        self._turns = asyncio.Semaphore(count)
        self._most = count + WAITING
        self._requests = 0

    async def run(self, compute: Callable[[], T], request: Request) -> T:
        """Compute the answer to a request in a thread, when one is free.

        Raises: BusyError if too many requests wait, or none becomes free; ClientDisconnect if nobody waits any more.
        """
        if self._requests >= self._most:
            raise BusyError("too many requests at once", 1.0)
        self._requests += 1
        try:
            await self._wait_for_turn()
            try:
                if await request.is_disconnected():
                    raise ClientDisconnect
                return await anyio.to_thread.run_sync(compute, limiter=self._limiter)
            finally:
                self._turns.release()
        finally:
            self._requests -= 1

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            raise BusyError(f"no capacity became free within {WAIT_SECONDS:.0f} seconds", 5.0) from error
