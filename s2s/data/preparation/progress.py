"""Messages while many pairs are handled."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

SECONDS = 30  # between two messages
CHECKED = 4000  # items between two looks at the clock
T = TypeVar("T")


def with_progress(items: Iterable[T], activity: str) -> Iterator[T]:
    """Yield the items; log `activity` at the start, and the count every half minute."""
    log.info(activity)
    logged = time.monotonic()
    for count, item in enumerate(items):
        if not count % CHECKED and time.monotonic() - logged > SECONDS:
            logged = time.monotonic()
            log.info(f"{activity}: {count:,} done")
        yield item
