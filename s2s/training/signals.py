"""Signals: SIGINT, SIGTERM and SIGHUP end a training after its step, or at once where nothing would be lost by it.

The first one is answered when the training asks; a second one ends the process at once.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from s2s.errors import StoppedError

ANSWERED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ECHO_SECONDS = 3.0  # a launcher passes on what the terminal has sent to each process already: not a second signal


class StopSignals:
    """While entered, signals are noted (`received`) and, where not `held`, raise StoppedError.

    `launched`: another process passes signals on to this one.
    """

    def __init__(self, *, launched: bool = False) -> None:
        self.received: int | None = None
        self._launched = launched
        self._held = False
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in ANSWERED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup, or a shell's background, has it
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise StoppedError where a signal was received."""
        if self.received is not None:
            raise StoppedError(self.received)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Signals are only noted while the block runs."""
        self._held, before = True, self._held
        try:
            yield
        finally:
            self._held = before

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Signals end the block at once."""
        self._held, before = False, self._held
        try:
            self.check()
            yield
        finally:
            self._held = before

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received, self._since = number, time.monotonic()
            if not self._held:
                raise StoppedError(number)
        elif not self._launched or time.monotonic() - self._since > ECHO_SECONDS:
            os._exit(128 + number)
