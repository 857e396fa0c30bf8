"""Start a server: open the socket, lease the device, serve."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2s.devices.leases import lease
from s2s.devices.memory import free_without_context
from s2s.errors import UsageError
from s2s.registry.store import Registry
from s2s.report.format import duration, format_size
from s2s.serving.resident_models import ResidentModels
from s2s.serving.server import Server
from s2s.serving.shadow import Shadow, ShadowProcess
from s2s.serving.sockets import group_number, listen

if TYPE_CHECKING:
    from s2s.serving.http.process import HttpProcess

log = logging.getLogger(__name__)

KEEP_ALIVE = 1800.0  # seconds
BUDGET_SHARES = {"cpu": 0.5, "cuda": 0.9}  # of the free memory, by default


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of a server."""

    memory: int | None  # bytes that models may take together; default: a share of the device's
    keep_alive: float  # seconds that a model stays loaded after its last use; -1 for ever
    group: str | None  # whose members may use the server, too
    http: str | None  # address and port for HTTP requests
    token_file: Path | None  # with the token that these must carry
    shadows: list[str]  # NAME@ALIAS=NAME:VERSION
    device: str  # auto: the first free one
    wait: float  # seconds to wait for a busy device


def run_server(options: ServeOptions) -> None:
    """Serve the default registry until a signal.

    Raises: ResourceError if the device is busy, the registry cannot be read, or a server of this user already serves
    it; UsageError for an unknown group, or options that contradict each other.
    """
    registry = Registry.default()
    registry.names()  # a directory that cannot be read is refused now
    group = None if options.group is None else group_number(options.group)
    http = _http(options)
    shadow = _shadow(options)
    with (
        listen(registry.root, group) as listener,
        lease(options.device, wait=options.wait, command="s2s serve") as device,
    ):
        budget = options.memory or int(BUDGET_SHARES[device.partition(":")[0]] * free_without_context(device))
        kept = "forever" if options.keep_alive < 0 else f"for {duration(options.keep_alive)}"
        log.info("serving %s on %s; models may take %s, and stay %s", registry.root, device, format_size(budget), kept)
        if http:
            http.start()
            log.info("HTTP and a page at %s", http.url)
            if options.token_file is None:
                log.info("every user of this machine can use it; --token-file restricts it")
        models = ResidentModels(device, budget, options.keep_alive)
        asyncio.run(Server(registry, models, group, shadow).run(listener, [http] if http else []))


def _shadow(options: ServeOptions) -> ShadowProcess | None:
    shadows = [Shadow.parse(text) for text in options.shadows]
    if len({(one.name, one.alias) for one in shadows}) < len(shadows):
        raise UsageError("two --shadow name the same alias", "an alias has one candidate")
    return ShadowProcess(shadows) if shadows else None


def _http(options: ServeOptions) -> "HttpProcess | None":
    if options.http is None:
        if options.token_file is not None:
            raise UsageError("--token-file only applies with --http", "--http 127.0.0.1:8000")
        return None
    from s2s.serving.http.process import HttpProcess

    return HttpProcess(options.http, options.token_file)
