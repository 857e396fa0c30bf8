"""Parallel files: line N of the target is the translation of line N of the source."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from typing import BinaryIO

from s2s.errors import DataError
from s2s.io.inputs import open_input, read_lines, refuse_twice, shown_name
from s2s.io.pipes import Pipe
from s2s.text.lines import Texts, decode_line, read_ahead

GROUP_SIZE = 2048  # line pairs


class UnequalLinesError(DataError):
    """The two files of a text have different line counts."""


def line_pairs(
    sources: Iterable[bytes], targets: Iterable[bytes], names: tuple[str, str]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the lines of both sides in pairs. Memory: one pair.

    Raises: UnequalLinesError with both line counts if they differ, after all complete pairs.
    """
    pairs = zip_longest(sources, targets)
    for complete, (source, target) in enumerate(pairs):
        if source is None or target is None:
            longer = complete + 1 + sum(1 for _ in pairs)
            counts = (complete, longer) if source is None else (longer, complete)
            raise UnequalLinesError(
                f"line counts differ: {names[0]} has {counts[0]:,}, {names[1]} has {counts[1]:,}",
                "line N of one file must be the translation of line N of the other",
            )
        yield source, target


def decode_pair(pair: tuple[bytes, bytes], names: tuple[str, str], number: int) -> Texts:
    """Decode line `number` of both sides. Raises DataError naming the file and line of invalid UTF-8."""
    source, target = pair
    try:
        return source.decode(), target.decode()
    except UnicodeDecodeError:
        pass
    return decode_line(source, f"{names[0]}:{number}", "refuse"), decode_line(target, f"{names[1]}:{number}", "refuse")


def read_pairs(source: str, target: str, group_size: int = GROUP_SIZE) -> Iterator[list[Texts]]:
    """Yield the line pairs of two files as text, in groups of `group_size`, smaller where a pipe pauses.

    Memory: one group.
    Raises: UsageError if both are standard input; DataError if line counts differ, for invalid UTF-8 or for a damaged
    compressed file.
    """
    refuse_twice((source, target))
    names = shown_name(source), shown_name(target)
    with open_side(source) as source_file, open_side(target) as target_file:
        if not isinstance(source_file, Pipe):  # group by the side that may pause; reading the other one never waits
            groups = _Groups(read_ahead(target_file, group_size, names[1]))
            lines = line_pairs(read_lines(source_file, names[0]), groups, names)
        else:
            groups = _Groups(read_ahead(source_file, group_size, names[0]))
            lines = line_pairs(groups, read_lines(target_file, names[1]), names)
        numbered = enumerate(lines, 1)
        for first in numbered:
            group = [first, *islice(numbered, groups.size - 1)]
            yield [decode_pair(pair, names, number) for number, pair in group]


def read_parallel(names: Sequence[str]) -> list[list[str]]:
    """Return the lines of each of several parallel files as text.

    Raises: UsageError if two are standard input; UnequalLinesError for a file that has not as many lines as the first;
    DataError if there are no lines, for invalid UTF-8 or for a damaged compressed file.
    """
    refuse_twice(names)
    sides = [read_texts(name) for name in names]
    shown = [shown_name(name) for name in names]
    for name, side in zip(shown, sides, strict=True):
        if len(side) != len(sides[0]):
            raise UnequalLinesError(
                f"line counts differ: {shown[0]} has {len(sides[0]):,}, {name} has {len(side):,}",
                "line N of one file must belong to line N of the other",
            )
    if not sides[0]:
        raise DataError(f"{shown[0]} has no lines")
    return sides


def read_texts(name: str) -> list[str]:
    """Return the lines of a file as text. Raises DataError for invalid UTF-8 or a damaged compressed file."""
    with open_side(name) as file:
        shown = shown_name(name)
        lines = enumerate(read_lines(file, shown), 1)
        return [decode_line(line, f"{shown}:{number}", "refuse") for number, line in lines]


class _Groups:
    """The lines of groups one by one; `size` is the number of lines in the current group."""

    def __init__(self, groups: Iterator[list[bytes]]) -> None:
        self.size = 0
        self._groups = groups

    def __iter__(self) -> Iterator[bytes]:
        for group in self._groups:
            self.size = len(group)
            yield from group


@contextmanager
def open_side(name: str) -> Iterator[BinaryIO]:
    """Open an input by name; leave standard input open afterwards."""
    file = open_input(name)
    try:
        yield file
    finally:
        if name != "-":
            file.close()
