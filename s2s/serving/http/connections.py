"""Close connections whose clients stall, so that they cannot lock others out."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

SECONDS = 60.0  # that a client may take for the head of its first request, and between an answer and its next request


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of a client that has a limited time for what it does.

    uvicorn alone waits without limit for the head of a request, for the rest of a refused body and for an answer to be
    read, so stalled clients could take all its connections.
    """

    _watchdog: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        if self._watchdog:
            self._watchdog.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._watch()
        super().on_response_complete()

    def _watch(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        self._watchdog = self.loop.call_later(SECONDS, self._end, self.cycle)

    def _end(self, last: RequestResponseCycle | None) -> None:
        """Drop the connection unless a request has begun after the last one, and its answer can be sent."""
        if self.cycle is last or self.flow.write_paused:
            self.transport.abort()
