"""Readers of text files and JSON lines, one pair per line."""

import functools
from collections.abc import Iterator

from s2s.data.readers.files import data_path, open_data_file
from s2s.data.readers.pair import OnInvalid, Pair, drop_invalid
from s2s.errors import UsageError
from s2s.io.inputs import read_lines
from s2s.recipe.kinds import LinesDataOptions, TableDataOptions
from s2s.recipe.pairs import FileOptions
from s2s.recipe.splits import LinesSplitOptions, TableSplitOptions
from s2s.text.lines import Texts, json_texts
from s2s.text.parallel import UnequalLinesError, decode_pair, line_pairs


def read_line_files(data: LinesDataOptions, split: LinesSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of source and target files, line by line."""
    if len(split.source) != len(split.target):
        names = ", ".join(split.source + split.target)
        raise UsageError(
            f"{len(split.source)} source and {len(split.target)} target files: {names}",
            "data.*.source and data.*.target must name the same number of files, in the same order",
        )
    for source, target in zip(split.source, split.target, strict=True):
        yield from _read_aligned(data, source, target, invalid)


def _read_aligned(data: FileOptions, source: str, target: str, invalid: OnInvalid) -> Iterator[Pair]:
    try:
        yield from _read_pairs(data, source, target, invalid)
    except UnequalLinesError as error:
        raise UnequalLinesError(error.message + _end_of_parallel(data, source, target), error.hint) from error


def _end_of_parallel(data: FileOptions, source: str, target: str) -> str:
    """Read two files of unequal line counts again, and say where they stop being parallel."""
    from s2s.data.diagnosis.unequal_files import last_parallel_line

    with open_data_file(data, source) as source_file, open_data_file(data, target) as target_file:
        last = last_parallel_line(read_lines(source_file), read_lines(target_file))
    return "" if last is None else f"; they are parallel until about line {last:,}"


def _read_pairs(data: FileOptions, source: str, target: str, invalid: OnInvalid) -> Iterator[Pair]:
    paths = data_path(data, source), data_path(data, target)
    with open_data_file(data, source) as source_file, open_data_file(data, target) as target_file:
        lines = line_pairs(read_lines(source_file, paths[0]), read_lines(target_file, paths[1]), paths)
        for number, pair in enumerate(lines, 1):
            texts: Texts | None
            try:
                texts = pair[0].decode(), pair[1].decode()
            except UnicodeDecodeError:
                read = functools.partial(decode_pair, pair, paths, number)
                texts = drop_invalid(read, data, f"{source}:{number}", invalid)
            if texts is not None:
                yield tuple.__new__(Pair, (*texts, number, source, 0))  # in half the time of Pair(…)


def read_json_lines(data: TableDataOptions, split: TableSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of JSON lines files, one object per line; skip empty lines."""
    keys = data.source_column, data.target_column
    for name in split.files:
        path = data_path(data, name)
        with open_data_file(data, name) as file:
            for number, line in enumerate(read_lines(file, path), 1):
                read = functools.partial(json_texts, line, keys, f"{path}:{number}")
                texts = drop_invalid(read, data, f"{name}:{number}", invalid)
                if texts is not None:
                    yield Pair(*texts, number, name)
