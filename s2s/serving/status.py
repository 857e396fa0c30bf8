"""What a server does: its models, their memory and their work. Errors of a server that is busy or ends."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from s2s.errors import ResourceError
from s2s.io.json_values import validate


class BusyError(ResourceError):
    """A server has too many requests; try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, "try again later")
        self.retry_after = retry_after


class StoppingError(ResourceError):
    """A server is stopping, or has ended."""


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """A model that a server holds."""

    reference: str  # NAME:3; several of an ensemble are joined by +
    engine: str  # PyTorch, bf16; empty while loading
    device: str
    bytes: int  # measured; 0 while loading
    state: Literal["loading", "ready"]
    pinned: bool  # whether it is never unloaded
    loaded: str  # when, ISO 8601; empty while loading
    last_used: str  # when, ISO 8601
    expires: str | None  # when it is unloaded unless it is used, ISO 8601; None for never, or while it is in use
    running: int  # sentences that are being computed
    queued: int  # sentences that wait
    requests: int  # since it was loaded, as all below
    sentences: int
    tokens: int  # of outputs
    busy_seconds: float  # in which it computed
    load_seconds: float  # that loading took


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server, and the models that it holds."""

    pid: int
    user: str
    registry: str  # its directory
    device: str
    memory_budget: int  # bytes that models may take together
    memory_used: int  # bytes that they take
    stopping: bool
    connections: int
    loads: int  # models loaded so far
    evictions: int  # models unloaded so far to make room
    refused: int  # requests refused so far because there were too many
    models: list[ResidentModel]

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the status that JSON values describe. Raises ArtefactError if they do not."""
        return validate(cls, values, "the server's status")
