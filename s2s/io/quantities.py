"""Durations and sizes as users write them."""

import math
import re

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FOREVER = -1.0  # seconds that a model stays loaded if it is never unloaded
MAX_KEEP_ALIVE = 365 * 86_400.0  # seconds that a model stays loaded otherwise


def parse_duration(text: str) -> float:
    """Return the seconds of `30s`, `10m`, `2h`, `1d` or `forever` (infinity). Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)([smhd])", text)
    if found:
        return float(found[1]) * SECONDS[found[2]]
    if text == "forever":
        return math.inf
    raise ValueError(f"{text!r}: should be a duration such as 30s, 10m or 2h, or forever")


def parse_keep_alive(text: str) -> float:
    """Return the seconds that a model stays loaded: 0 for `0`, FOREVER for `forever` and `-1`.

    Raises ValueError for anything else, and for more than a year.
    """
    seconds = {"0": 0.0, "-1": FOREVER}.get(text)
    if seconds is None:
        seconds = parse_duration(text)
    if MAX_KEEP_ALIVE < seconds < math.inf:
        raise ValueError(f"{text!r}: should be at most 365d, or forever")
    return FOREVER if math.isinf(seconds) else seconds


def parse_size(text: str) -> int:
    """Return the bytes of `20GiB`, `800MB` or `1.5TB`. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?) ?([KMGT])(i?)B", text, re.IGNORECASE)
    if not found or not float(found[1]):
        raise ValueError(f"{text!r}: should be a size such as 800MB or 20GiB")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** ("KMGT".index(found[2].upper()) + 1))
