"""Progress of a stream of lines on standard error: updated in place on a terminal, else a line every 30 seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from s2s.cli.console import note
from s2s.report.console import err

EVERY = 30.0  # seconds between two lines


@contextmanager
def line_progress(output: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts finished lines and reports the total.

    On a terminal the count updates in place, unless `output` (`-`: standard output) is the terminal too; otherwise a
    line is printed every 30 seconds.
    """
    begun = said = time.monotonic()
    lines = 0

    def words() -> str:
        return f"{lines:,} lines, {lines / max(time.monotonic() - begun, 1e-9):,.0f} lines/s"

    def add_to_status(more: int) -> None:
        nonlocal lines
        lines += more
        status.update(words())

    def add(more: int) -> None:
        nonlocal lines, said
        lines += more
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            note(words())

    if err.is_terminal and not (output == "-" and sys.stdout.isatty()):
        with err.status("0 lines") as status:
            yield add_to_status
    else:
        yield add
