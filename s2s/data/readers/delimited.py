"""Readers of TSV and CSV files, with or without a header."""

import csv
import functools
import itertools
import json
import logging
from collections.abc import Iterable, Iterator

from s2s.data.readers.files import data_path, open_data_file
from s2s.data.readers.headers import find_column, looks_like_header
from s2s.data.readers.messages import Places, log_once
from s2s.data.readers.pair import OnInvalid, Pair, drop_invalid
from s2s.errors import DataError
from s2s.io.inputs import read_lines
from s2s.recipe.kinds import CsvDataOptions, DelimitedDataOptions
from s2s.recipe.splits import TableSplitOptions
from s2s.text.lines import Texts, decode_line, single_line

Cells = list[str]  # bytes that are not UTF-8 are surrogates
Row = tuple[int, Cells | DataError]  # the line where it starts; its cells, or why it has none
QUOTES = "a cell that contains quotes is quoted, with each quote in it doubled"
REASONS = {  # for errors of the module csv that begin like this, which have nothing to do with quotes
    "new-line character": "a carriage return in a cell without quotes",
    "field larger": "a cell of more than 131,072 characters",
}


def read_delimited(data: DelimitedDataOptions, split: TableSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of TSV or CSV files, one row each; skip empty lines.

    The first row of a file is a header if a column is named, and else warned about if it looks like one. A warning
    counts the rows of another width than the first one's.
    Raises: UsageError if the header has no such column; DataError naming the line of a row that lacks it.
    """
    for name in split.files:
        path = data_path(data, name)
        with open_data_file(data, name) as file:
            yield from _pairs(_rows(read_lines(file, path), data, path), data, name, invalid)


def read_header(data: DelimitedDataOptions, name: str) -> Cells:
    """Return the cells of a file's first row. Raises DataError if it has none."""
    path = data_path(data, name)
    with open_data_file(data, name) as file:
        _, cells = next(_rows(read_lines(file, path), data, path), (1, DataError(f"{path} is empty")))
    if isinstance(cells, DataError):
        raise cells
    return cells


def _rows(lines: Iterator[bytes], data: DelimitedDataOptions, path: str) -> Iterator[Row]:
    """Yield the rows that are not empty; for each line of what is not CSV, why it has none."""
    text = (line.decode(errors="surrogateescape") for line in lines)
    if isinstance(data, CsvDataOptions):
        yield from _csv_rows(text, data.delimiter, path)
    else:
        yield from ((number, line.split("\t")) for number, line in enumerate(text, 1) if line)


def _csv_rows(lines: Iterable[str], delimiter: str, path: str) -> Iterator[Row]:
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = next((reason for start, reason in REASONS.items() if str(error).startswith(start)), None)
            hints = ["" if reason else QUOTES, "is a quote not closed?" if reader.line_num > number else ""]
            refused = DataError(f"{path}:{number}: not CSV: {reason or error}", "; ".join(filter(None, hints)) or None)
            yield from ((line, refused) for line in range(number, reader.line_num + 1))
            continue
        if cells:
            yield number, cells


def _pairs(rows: Iterator[Row], data: DelimitedDataOptions, name: str, invalid: OnInvalid) -> Iterator[Pair]:
    path = data_path(data, name)
    first = next(rows, None)
    if first is None:
        return
    columns = _column_numbers(first[1], data, path)
    if not data.has_header:
        _warn_of_header(first, columns, data, path)
        rows = itertools.chain([first], rows)
    width, others = 0 if isinstance(first[1], DataError) else len(first[1]), Places()
    for number, cells in rows:
        if not isinstance(cells, DataError):
            width = width or len(cells)
            if len(cells) != width:
                others.add(number)
        read = functools.partial(_texts, cells, columns, f"{path}:{number}", data)
        texts = drop_invalid(read, data, f"{name}:{number}", invalid)
        if texts is not None:
            yield Pair(*texts, number, name)
    if others.count:
        message = f"rows that do not have the {width} columns of the first row: {others.count:,}"
        log_once(logging.WARNING, f"{message} ({others.describe(path)}); do cells contain the delimiter?")


def _column_numbers(first: Cells | DataError, data: DelimitedDataOptions, path: str) -> tuple[int, int]:
    """Return the numbers, from 1, of both columns, given the first row."""
    source, target = data.source_column, data.target_column
    if isinstance(source, int) and isinstance(target, int):
        return source, target
    if isinstance(first, DataError):
        raise first
    source, target = (one if isinstance(one, int) else find_column(first, one, path) for one in (source, target))
    return source, target


def _warn_of_header(row: Row, columns: tuple[int, int], data: DelimitedDataOptions, path: str) -> None:
    """Warn if the first row seems to name the columns, though it is read as a pair."""
    number, cells = row
    if isinstance(cells, DataError) or len(cells) < max(columns):
        return
    source, target = (cells[column - 1].strip() for column in columns)
    if looks_like_header((source, target), (data.source_language, data.target_language)):
        message = f"{path}:{number}: {source!r} and {target!r} seem to be names of columns, but are read as a pair"
        hint = f'data.source_column = "{source}" and data.target_column = "{target}" make this row a header'
        log_once(logging.WARNING, f"{message}; {hint}")


def _texts(cells: Cells | DataError, columns: tuple[int, int], where: str, data: DelimitedDataOptions) -> Texts:
    """Return both cells of a row as single lines. Raises DataError naming `where` if there are none."""
    if isinstance(cells, DataError):
        raise cells
    if len(cells) < max(columns):
        delimiter = data.delimiter if isinstance(data, CsvDataOptions) else "tabs"
        found = f"expected {max(columns)} columns separated by {delimiter}, found {len(cells)}"
        raise DataError(f"{where}: {found}", _other_delimiter(cells, data))
    source, target = (cells[column - 1] for column in columns)
    for text in (source, target):
        decode_line(text.encode(errors="surrogateescape"), where, "refuse")
    return single_line(source), single_line(target)


def _other_delimiter(cells: Cells, data: DelimitedDataOptions) -> str | None:
    """Return what to set if a row of one cell seems to be split at another character."""
    if len(cells) > 1:
        return None
    if isinstance(data, CsvDataOptions):
        found = next((one for one in (";", "\t", ",") if one in cells[0]), None)
        return found and f"--set 'data.delimiter={json.dumps(found)}'"
    return "--set data.kind=csv" if "," in cells[0] else None
