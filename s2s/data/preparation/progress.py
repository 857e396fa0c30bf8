"""What handling many pairs needs: messages meanwhile, and no search for garbage."""

import contextlib
import gc
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


@contextlib.contextmanager
def paused_collection() -> Iterator[None]:
    """Do not look for cyclic garbage inside the block: pairs are none, and looking takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
