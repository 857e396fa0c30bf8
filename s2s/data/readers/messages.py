"""Messages about data files, which are read several times."""

import functools
import logging

log = logging.getLogger(__name__)


@functools.cache
def log_once(level: int, message: str) -> None:
    """Log a message, once in the life of this process."""
    log.log(level, message)


class Places:
    """Counts lines of a file that are alike, and remembers the first few."""

    SHOWN = 3

    def __init__(self) -> None:
        self.count = 0
        self._first: list[int] = []

    def add(self, line: int) -> None:
        """Count a line, given its number."""
        self.count += 1
        if len(self._first) < self.SHOWN:
            self._first.append(line)

    def describe(self, path: str) -> str:
        """Return the first places: `a.tsv:2, a.tsv:7, …`."""
        return ", ".join([f"{path}:{line}" for line in self._first] + ["…"] * (self.count > self.SHOWN))
