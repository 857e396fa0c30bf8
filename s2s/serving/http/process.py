"""The process that answers HTTP requests: the server starts it and stops it."""

import asyncio
import logging
import multiprocessing
import signal
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from s2s.errors import ResourceError, UsageError, wrap_os_errors
from s2s.io.processes import die_with_parent

if TYPE_CHECKING:
    from uvicorn import Config

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
IDLE_SECONDS = 30  # that a connection without a request stays open
STOP_SECONDS = 330.0  # that answering what was accepted may take; then the process is killed


class HttpProcess:
    """Answers HTTP requests at an address."""

    def __init__(self, address: str, token_file: Path | None) -> None:
        """Open the address; requests wait until `start`.

        Raises: UsageError if the address is malformed, or is not this machine's alone and there is no token;
        ResourceError if it cannot be used, or if a package is missing.
        """
        _require_packages()
        host, port = _parse_address(address)
        self._loopback = is_loopback(host)
        self._token = None if token_file is None else _read_token(token_file)
        if not (self._loopback or self._token):
            raise UsageError(f"--http {address}: others can reach this address", "--token-file FILE sets a token")
        self._socket = _bind(host, port)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        arguments = (self._socket, self._token, self._loopback)
        self._process = context.Process(target=_answer, args=arguments, name="http", daemon=True)
        self._process.start()
        self._socket.close()

    async def stop(self) -> None:
        """Stop accepting requests, and wait until those that were accepted are answered."""
        self._process.terminate()
        await asyncio.to_thread(self._process.join, STOP_SECONDS)
        self._process.kill()


def _answer(listener: socket.socket, token: str | None, loopback: bool) -> None:
    """Answer requests until SIGTERM or SIGINT; SIGHUP is the server's to act on."""
    import uvicorn

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    die_with_parent()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    uvicorn.Server(configuration(token, loopback=loopback)).run(sockets=[listener])


def configuration(token: str | None, *, loopback: bool) -> "Config":
    """Return the application and its limits, for uvicorn."""
    import uvicorn

    from s2s.serving.http.app import Application
    from s2s.serving.http.connections import BoundedProtocol

    return uvicorn.Config(
        Application(token, loopback=loopback).routes(),
        http=BoundedProtocol,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        ws="none",
    )


def _require_packages() -> None:
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ResourceError(f"--http needs {error.name}", "pip install 's2s-toolkit[serve]'") from error


def _parse_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--http {address}: should be ADDRESS:PORT", "--http 127.0.0.1:8000")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address is a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _read_token(path: Path) -> str:
    with wrap_os_errors(path, "read"):
        token = path.read_text(errors="replace").strip()
    if len(token) < 16 or not token.isascii() or len(token.split()) != 1:
        raise UsageError(
            f"{path}: a token must have at least 16 ASCII characters and no spaces", f"openssl rand -hex 16 > {path}"
        )
    return token


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError as error:
        raise ResourceError(f"cannot use {host}:{port}: {error.strerror or error}", "choose another port") from error
    return listener
