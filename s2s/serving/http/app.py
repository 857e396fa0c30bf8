"""The application: paths, and how errors become statuses of HTTP."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2s.errors import DataError, S2SError, UsageError
from s2s.io.json_values import first_fault
from s2s.serving.client import server_status
from s2s.serving.http import answers
from s2s.serving.http.guard import HEADERS, Guard, HttpError, read_body
from s2s.serving.http.metrics import Metrics
from s2s.serving.http.openapi import POSTS, description
from s2s.serving.status import BusyError, StoppingError

log = logging.getLogger(__name__)

PAGE = Path(__file__).parents[1] / "page"
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
ANSWERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "/v1/translate": answers.translate,
    "/v1/caption": answers.caption,
    "/v1/score": answers.score,
}
AT_ONCE = 64  # requests that are answered
WAITING = 256  # requests that wait for that
STOPPING_SECONDS = 5  # after which a client may try again
Endpoint = Callable[[Request], Awaitable[Response]]


class Application:
    """Answers requests in threads, as the client of the server that they are."""

    def __init__(self, token: str | None, *, loopback: bool) -> None:
        self._files = {f"/{path.name}": path for path in PAGE.iterdir() if path.suffix in MEDIA}
        self._guard = Guard(token, loopback=loopback, files=set(self._files))
        self._threads = anyio.CapacityLimiter(AT_ONCE)
        self._metrics = Metrics()

    def routes(self) -> Starlette:
        """Return the application to run."""
        posts = [self._route(path, "POST", partial(self._post, path, body)) for path, (body, _, _) in POSTS.items()]
        gets: dict[str, Endpoint] = {
            "/v1/models": self._models,
            "/health": self._health,
            "/metrics": self._figures,
            "/openapi.json": self._openapi,
            "/": partial(self._file, PAGE / "index.html"),
        }
        gets |= {path: partial(self._file, file) for path, file in self._files.items()}
        routes = [*posts, *(self._route(path, "GET", endpoint) for path, endpoint in gets.items())]
        return Starlette(routes=routes, exception_handlers={HTTPException: _not_routed})

    def _route(self, path: str, method: str, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Response:
            started = time.monotonic()
            try:
                self._guard.check(request)
                response = await endpoint(request)
            except ClientDisconnect:
                response = Response(status_code=499)
            except Exception as error:
                response = error_response(error)
            response.headers.update(HEADERS)
            self._metrics.add(path, response.status_code, time.monotonic() - started)
            return response

        return Route(path, answer, methods=[method])

    async def _post(self, path: str, kind: type[BaseModel], request: Request) -> Response:
        content = await read_body(request)
        try:
            body = kind.model_validate_json(content)
        except ValidationError as error:
            raise HttpError(400, first_fault(error)) from error
        return JSONResponse(await self._in_thread(ANSWERS[path], body))

    async def _models(self, _: Request) -> Response:
        return JSONResponse(await self._in_thread(lambda: answers.list_models(server_status())))

    async def _health(self, _: Request) -> Response:
        status = await self._in_thread(server_status)
        if status.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ok"})

    async def _figures(self, _: Request) -> Response:
        return Response(self._metrics.text(await self._in_thread(server_status)), media_type="text/plain")

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(description())

    async def _file(self, path: Path, _: Request) -> Response:
        return Response(path.read_bytes(), media_type=MEDIA[path.suffix])

    async def _in_thread(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        if self._threads.statistics().tasks_waiting >= WAITING:
            raise BusyError("too many requests at once", 1.0)
        return await anyio.to_thread.run_sync(compute, *arguments, limiter=self._threads)


def error_response(error: Exception) -> JSONResponse:
    """Return the answer to a request that failed."""
    status = _status(error)
    if not isinstance(error, S2SError):
        message = "the answer took too long" if status == 504 else "the server has an error of its own"
        error = S2SError(message)
        if status == 500:
            log.exception("a request failed")
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    elif status == 503:
        headers["Retry-After"] = str(STOPPING_SECONDS)
    return JSONResponse({"error": {"message": error.message, "hint": error.hint}}, status, headers)


def _status(error: Exception) -> int:
    match error:
        case HttpError():
            return error.status
        case BusyError():
            return 429
        case UsageError() | DataError():
            return 400
        case StoppingError() | S2SError():
            return 503
        case TimeoutError():
            return 504
        case _:
            return 500


def _not_routed(_: Request, error: Exception) -> Response:
    """Answer a request to an unknown path, or with another method than a path has."""
    assert isinstance(error, HTTPException)
    message = {404: "no such path", 405: "the path has another method"}.get(error.status_code, error.detail)
    values = {"error": {"message": message, "hint": "GET /openapi.json describes the interface"}}
    return JSONResponse(values, error.status_code, dict(error.headers or {}) | HEADERS)
