"""Inject known faults into parallel text, to measure what notices them.

Faults take blocks of lines (BLOCK_FAULTS) or single ones. A line has at most one fault.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from s2s.errors import did_you_mean
from s2s.text.placeholders import placeholders

FaultKind = Literal[
    "shifted",  # blocks whose targets are rotated by 1 to 5 lines
    "shuffled",  # blocks of targets in random order
    "swapped",  # blocks whose sides are exchanged
    "wrong_language",  # targets are replaced by the same line of another file
    "untranslated",  # targets are copies of their sources
    "truncated",  # targets lose the second half of their words
    "mojibake",  # one side is UTF-8 read as cp1252; only lines with other characters than ASCII
    "lost_placeholders",  # targets lose their placeholders, tags and entities; only lines that have some
]
FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
BLOCK_FAULTS: tuple[FaultKind, ...] = ("shifted", "shuffled", "swapped")
MAX_SHIFT = 5
ATTEMPTS = 1000  # to find room for a block
Side = Literal["source", "target", "both"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Lines that were given a fault."""

    fault: FaultKind
    first: int  # from 1
    last: int
    side: Side  # that was changed
    shift: int | None = None  # shifted: how many lines after a target its source is


def parse_fault(text: str) -> tuple[FaultKind, float]:
    """Parse `shifted=10%` to the name of a fault and a share. Raises ValueError."""
    name, _, share = text.partition("=")
    if name not in FAULTS:
        near = did_you_mean(name, [*FAULTS])
        raise ValueError(f"{name}: no such fault; {near or 'known are ' + ', '.join(FAULTS)}")
    try:
        percent = float(share.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not share.endswith("%") or not 0 < percent <= 100:
        raise ValueError(f"{text}: expected a share of the lines in percent, such as {name}=10%")
    return name, percent / 100


class Corruption:
    """Parallel text, and the faults injected into it so far. The same seed and calls give the same faults."""

    def __init__(self, sources: Sequence[str], targets: Sequence[str], *, seed: int, block_lines: int) -> None:
        self.sources = list(sources)
        self.targets = list(targets)
        self.faults: list[Fault] = []
        self._block_lines = block_lines
        self._random = random.Random(seed)
        self._free = [True] * len(self.sources)  # lines without a fault

    def inject(self, kind: FaultKind, share: float, other: Sequence[str] = ()) -> int:
        """Give a fault to a share of the lines, or to all that can have it; return how many now have it.

        `other` are lines in another language, for wrong_language.
        """
        wanted = round(share * len(self.sources))
        if kind in BLOCK_FAULTS:
            faults = [self._change_block(kind, first, size) for first, size in self._blocks(wanted)]
        else:
            faults = list(self._change_lines(kind, wanted, other))
        self.faults = sorted([*self.faults, *faults], key=lambda fault: fault.first)
        return sum(fault.last - fault.first + 1 for fault in faults)

    def _blocks(self, wanted: int) -> Iterator[tuple[int, int]]:
        """Yield the first row and the size of free blocks, at least a line apart, until `wanted` rows are taken."""
        while wanted > 1:
            size = min(wanted, self._block_lines)
            room = len(self._free) - size
            starts = (self._random.randint(0, room) for _ in range(ATTEMPTS if room >= 0 else 0))
            first = next((row for row in starts if all(self._free[max(0, row - 1) : row + size + 1])), None)
            if first is None:
                return
            self._free[first : first + size] = [False] * size
            wanted -= size
            yield first, size

    def _change_block(self, kind: FaultKind, first: int, size: int) -> Fault:
        rows = slice(first, first + size)
        if kind == "swapped":
            self.sources[rows], self.targets[rows] = self.targets[rows], self.sources[rows]
            return Fault(kind, first + 1, first + size, "both")
        block = self.targets[rows]
        if kind == "shuffled":
            self._random.shuffle(block)
            self.targets[rows] = block
            return Fault(kind, first + 1, first + size, "target")
        shift = self._random.choice((1, -1)) * self._random.randint(1, min(MAX_SHIFT, size // 2))
        self.targets[rows] = block[shift:] + block[:shift]
        return Fault(kind, first + 1, first + size, "target", shift)

    def _change_lines(self, kind: FaultKind, wanted: int, other: Sequence[str]) -> Iterator[Fault]:
        rows = [row for row, free in enumerate(self._free) if free]
        self._random.shuffle(rows)
        for row in rows:
            if not wanted:
                return
            pair = self.sources[row], self.targets[row]
            changed = self._change(kind, *pair, other[row % len(other)] if other else "")
            if changed == pair:
                continue
            self.sources[row], self.targets[row] = changed
            self._free[row] = False
            wanted -= 1
            yield Fault(kind, row + 1, row + 1, "source" if changed[0] != pair[0] else "target")

    def _change(self, kind: FaultKind, source: str, target: str, other: str) -> tuple[str, str]:
        """Return a pair with a fault of single lines; unchanged if it cannot have it."""
        match kind:
            case "wrong_language":
                return source, other
            case "untranslated":
                return source, source
            case "truncated":
                words = target.split(" ")
                return source, " ".join(words[: (len(words) + 1) // 2])
            case "mojibake":
                if source.isascii() or (not target.isascii() and self._random.random() < 0.5):
                    return source, misread(target)
                return misread(source), target
            case _:
                for placeholder in placeholders(target):
                    target = target.replace(placeholder, "")
                return source, target


def misread(text: str) -> str:
    """Return how text looks if its UTF-8 is read as cp1252: `ä` becomes `Ã¤`."""
    return "".join(map(_character, text.encode("utf-8", "surrogatepass")))


def _character(byte: int) -> str:
    """Return the character of cp1252 for a byte, or that of Latin-1 where cp1252 has none."""
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)
