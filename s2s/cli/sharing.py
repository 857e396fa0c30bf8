"""Options of how the preparation of data is shared."""

import re

from s2s.errors import UsageError


def parse_shard(text: str) -> tuple[int, int]:
    """Return the number of a shard, from 1, and how many there are. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text}: expected I/N with I from 1 to N", "such as --shard 2/7")
    return number, count


def refuse_combinations(
    *, processes: int | None, shard: str | None, merge: bool, engine: str, address: str | None
) -> None:
    """Raise UsageError for options that exclude or need each other."""
    given = {"--processes": processes, "--shard": shard, "--merge": merge, "--engine dask": engine == "dask"}
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} exclude each other", "leave one out")
    if (engine == "dask") != bool(address):
        raise UsageError(
            "--engine dask and --address need each other", "such as --engine dask --address tcp://head:8786"
        )
