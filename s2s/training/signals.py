"""Signals: SIGINT, SIGTERM and SIGHUP stop training after the current step, or at once if nothing would be lost.

The training loop handles the first signal; a second one ends the process at once.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from s2s.errors import StoppedError

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ECHO_SECONDS = 3.0  # a launcher forwards signals that the terminal has already sent to each process


class StopSignals:
    """Record stop signals (`received`), and raise StoppedError at once unless `deferred`.

    `launched`: another process forwards signals to this one.
    """

    def __init__(self, *, launched: bool = False) -> None:
        self.received: int | None = None
        self._launched = launched
        self._deferred = False
        self._received_at = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # Python handles signals in the main thread alone
        for number in HANDLED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup, or in a shell's background
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise StoppedError if a signal was received."""
        if self.received is not None:
            raise StoppedError(self.received)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Only record signals inside the block."""
        self._deferred, before = True, self._deferred
        try:
            yield
        finally:
            self._deferred = before

    @contextlib.contextmanager
    def immediate(self) -> Iterator[None]:
        """Let a signal end the block at once."""
        self._deferred, before = False, self._deferred
        try:
            self.check()
            yield
        finally:
            self._deferred = before

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received, self._received_at = number, time.monotonic()
            if not self._deferred:
                raise StoppedError(number)
        elif not self._launched or time.monotonic() - self._received_at > ECHO_SECONDS:
            os._exit(128 + number)
