"""Who may ask, and how much: the token, the host, the length of a request, and headers of every answer."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.requests import Request

from s2s.errors import S2SError
from s2s.serving.http.process import is_loopback
from s2s.serving.status import BusyError

MAX_BODY = 2**24  # bytes
MAX_BODIES = 2**28  # bytes of all requests that are not answered
BODY_SECONDS = 60.0  # that a body may take to arrive
HEADERS = {  # of every answer
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
OPEN = {"/", "/health"}  # paths that need no token, beside the page's files


class HttpError(S2SError):
    """An error with an HTTP status code of its own."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class Guard:
    """Checks requests before they are answered."""

    def __init__(self, token: str | None, *, loopback: bool, files: set[str]) -> None:
        self.token = token
        self.loopback = loopback  # whether only this machine can reach the server
        self.open = OPEN | files

    def check(self, request: Request) -> None:
        """Raise HttpError if a request may not be answered.

        A server without a token is only for this machine. A page of another site could still reach it under a name of
        its own that stands for 127.0.0.1, so the host that a request names is checked.
        """
        if self.loopback and not is_loopback(_host(request)):
            raise HttpError(400, "the request is for another host", "use localhost or 127.0.0.1")
        if self.token is None or request.scope["path"] in self.open:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise HttpError(401, "the token is missing or wrong", "Authorization: Bearer TOKEN")


class Bodies:
    """The bodies of the requests that are not answered yet, which are bounded together."""

    def __init__(self) -> None:
        self._held = 0  # bytes

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of a request of JSON, which counts until the block ends.

        Raises: HttpError if it is too long, too slow or of another kind, BusyError if all together are too long.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(415, "the body should be JSON", "Content-Type: application/json")
        body = bytearray()
        try:
            await self._fill(body, request)
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _fill(self, body: bytearray, request: Request) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > MAX_BODY:
                        message = f"the request is longer than {MAX_BODY >> 20} MiB"
                        raise HttpError(413, message, "send fewer lines at a time")
                    if self._held > MAX_BODIES:
                        raise BusyError("too many long requests at once", 5.0)
        except TimeoutError as error:
            raise HttpError(408, f"the request took longer than {BODY_SECONDS:.0f} seconds to arrive") from error


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""
