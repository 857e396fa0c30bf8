"""How far a stream of lines is: on standard error, a line now and then, or one that changes at a terminal."""

import sys
import time

from s2s.cli.console import err, note

EVERY = 30.0  # seconds between two lines


class LineProgress:
    """Counts lines, and says so: every 30 seconds in a line of its own, or at once where only it is on the terminal."""

    def __init__(self) -> None:
        self.begun = self.said = time.monotonic()
        self.lines = 0
        self.status = None if not err.is_terminal or sys.stdout is None or sys.stdout.isatty() else err.status("")

    def add(self, lines: int) -> None:
        """So many lines more are done."""
        self.lines += lines
        now = time.monotonic()
        words = f"{self.lines:,} lines, {self.lines / max(now - self.begun, 1e-9):,.0f} lines/s"
        if self.status:
            self.status.start()
            self.status.update(words)
        elif now - self.said >= EVERY:
            self.said = now
            note(words)

    def stop(self) -> None:
        """Leave nothing on the terminal."""
        if self.status:
            self.status.stop()
