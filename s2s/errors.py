"""The errors that s2s raises: one family, each with an exit code and, where possible, a hint at the way out."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


class S2SError(Exception):
    """Something a user can understand and act on: shown as one message, without a traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def described(self) -> str:
        """The message and, if there is one, the hint."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(S2SError):
    """A wrong command line or recipe, a name or input file that does not exist, or an output that already does."""

    exit_code = 2


class DataError(S2SError):
    """Bad content of data: invalid UTF-8, unequal line counts, an empty corpus."""

    exit_code = 3


class ArtefactError(S2SError):
    """A stored artefact that is corrupt, untrusted or of a newer schema."""

    exit_code = 4


class OutdatedError(ArtefactError):
    """A stored artefact of an older schema, which this version of s2s does not read."""


class NewerError(ArtefactError):
    """A stored artefact of a newer schema, which this version of s2s does not read."""


class ResourceError(S2SError):
    """Something missing, busy, full or not permitted: a device, memory, disk, a lock."""

    exit_code = 5


class LostProcessError(S2SError):
    """Another of the processes that train a model together has ended."""

    def __init__(self, hint: str | None = None) -> None:
        super().__init__("another process of this training has ended; it or its launcher says why", hint)


def is_lost_process(error: Exception) -> bool:
    """Return whether an error says that another process of a distributed training has closed its connection."""
    return any(text in str(error) for text in ("Connection closed by peer", "Connection reset by peer"))


class StoppedError(BaseException):
    """Stopped by a signal, after saving. The exit code is 128 plus the signal number.

    Like KeyboardInterrupt it is no `Exception`, so that code that handles errors does not swallow a signal.
    `reported`: other processes have already printed the message.
    """

    def __init__(self, signal: int, message: str = "", hint: str | None = None, *, reported: bool = False) -> None:
        self.message = message or {2: "interrupted", 1: "the terminal was closed"}.get(signal, "terminated")
        super().__init__(self.message)
        self.hint = hint
        self.signal = signal
        self.reported = reported
        self.exit_code = 128 + signal


def did_you_mean(name: str, known: list[str]) -> str | None:
    """Return `did you mean X?` for the nearest known names, or None if none is similar."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else None


@contextlib.contextmanager
def wrap_os_errors(path: Path | str, doing: str) -> Iterator[None]:
    """Convert an `OSError` at `path` to a UsageError if the path does not exist, else to a ResourceError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        kind = UsageError if error.errno in {errno.ENOENT, errno.EISDIR, errno.ENOTDIR} else ResourceError
        raise kind(f"cannot {doing} {path}: {reason}") from error
