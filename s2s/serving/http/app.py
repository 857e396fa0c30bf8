"""The application: paths, and how errors become statuses of HTTP."""

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2s.errors import DataError, S2SError, UsageError
from s2s.serving.client import server_status
from s2s.serving.http import answers
from s2s.serving.http.faults import DESCRIPTION, refusal
from s2s.serving.http.guard import HEADERS, Bodies, Guard, HttpError
from s2s.serving.http.metrics import Metrics
from s2s.serving.http.openapi import POSTS, description
from s2s.serving.http.threads import Threads
from s2s.serving.status import BusyError, ServerStatus, StoppingError

log = logging.getLogger(__name__)

PAGE = Path(__file__).parents[1] / "page"
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
ANSWERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "/v1/translate": answers.translate,
    "/v1/caption": answers.caption,
    "/v1/score": answers.score,
}
AT_ONCE = 64  # requests that are answered
AT_ONCE_OF_STATUS = 4  # requests for the status that are answered, however many others are
STATUS_SECONDS = 10.0  # that the server may take to tell its status
STOPPING_SECONDS = 5  # after which a client may try again
FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)")  # of a command, in an error
Endpoint = Callable[[Request], Awaitable[Response]]


class Application:
    """Answers requests in threads, as the client of the server that they are."""

    def __init__(self, token: str | None, *, loopback: bool) -> None:
        self._files = {f"/{path.name}": path for path in PAGE.iterdir() if path.suffix in MEDIA}
        self._guard = Guard(token, loopback=loopback, files=set(self._files))
        self._bodies = Bodies()
        self._threads = Threads(AT_ONCE)
        self._status_threads = Threads(AT_ONCE_OF_STATUS)
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
        application = Starlette(routes=routes, exception_handlers={HTTPException: _not_routed})
        application.router.redirect_slashes = False
        return application

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
        async with self._bodies.read(request) as content:
            try:
                body = kind.model_validate_json(content)
            except ValidationError as error:
                raise refusal(error, kind) from error
            answer = await self._threads.run(lambda: answers.encode(ANSWERS[path](body)), request)
        return Response(answer, media_type="application/json")

    async def _models(self, request: Request) -> Response:
        return JSONResponse(await self._of_status(answers.list_models, request))

    async def _health(self, request: Request) -> Response:
        try:
            stopping = await self._of_status(lambda status: status.stopping, request)
        except StoppingError:
            stopping = True
        return JSONResponse({"status": "stopping"}, 503) if stopping else JSONResponse({"status": "ok"})

    async def _figures(self, request: Request) -> Response:
        return Response(await self._of_status(self._metrics.text, request), media_type="text/plain; version=0.0.4")

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(description())

    async def _file(self, path: Path, _: Request) -> Response:
        return Response(path.read_bytes(), media_type=MEDIA[path.suffix])

    async def _of_status(self, compute: Callable[[ServerStatus], Any], request: Request) -> Any:
        return await self._status_threads.run(lambda: compute(server_status(STATUS_SECONDS)), request)


def error_response(error: Exception) -> JSONResponse:
    """Return the answer to a request that failed."""
    status = _status(error)
    if not isinstance(error, S2SError):
        message = "the answer took too long" if status == 504 else "internal server error"
        error = S2SError(message)
        if status == 500:
            log.exception("a request failed")
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    elif status == 503:
        headers["Retry-After"] = str(STOPPING_SECONDS)
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    message, hint = error.message, error.hint
    if status == 400:  # also of checks that commands have, too
        message, hint = _with_keys(message), hint and _with_keys(hint)
    return JSONResponse({"error": {"message": message, "hint": hint}}, status, headers)


def _with_keys(text: str) -> str:
    """Return an error that names keys in place of a command's options: `beam_size` for `--beam-size`."""
    return text if "s2s " in text else FLAG.sub(lambda flag: flag[1].replace("-", "_"), text)


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
    message = {404: "no such path", 405: "method not allowed"}.get(error.status_code, error.detail)
    values = {"error": {"message": message, "hint": DESCRIPTION}}
    return JSONResponse(values, error.status_code, dict(error.headers or {}) | HEADERS)
