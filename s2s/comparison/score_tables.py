"""Scores of another metric, read from a table: a column for each system, a row for each line of the test set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from s2s.comparison.stored import NAME
from s2s.errors import DataError, UsageError
from s2s.report.format import counted
from s2s.text.parallel import read_texts

LAYOUT = "the first row names the systems, then there is a row for each line of the test set"


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of one metric."""

    metric: str
    file: str
    values: dict[str, list[list[float]]]  # by system: for each seed, the scores of the lines

    def check_lines(self, lines: int) -> None:
        """Raise DataError unless there is a row for each line of the test set."""
        rows = len(next(iter(self.values.values()))[0])
        if rows != lines:
            raise DataError(f"{self.file} has {rows:,} rows of scores for {lines:,} lines of the test set", LAYOUT)


def read_score_table(text: str, systems: Sequence[tuple[str, int]]) -> ScoreTable:
    """Read `METRIC=FILE`, a table of tab-separated scores whose first row names the systems.

    A system with several seeds has as many columns of its name. Other columns are refused; systems may be missing.
    `systems`: names and numbers of seeds.
    Raises: UsageError if `text` is malformed; DataError if the table does not fit the systems, or holds something else
    than finite numbers.
    """
    metric, _, file = text.partition("=")
    if not (NAME.fullmatch(metric) and file):
        raise UsageError(f"--scores {text}: expected METRIC=FILE", "such as --scores COMET=comet.tsv")
    rows = [line.split("\t") for line in read_texts(file)]
    if len(rows) < 2:
        raise DataError(f"{file} has no scores", LAYOUT)
    heads = [name.strip() for name in rows[0]]
    _check_heads(file, heads, systems)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(heads):
            raise DataError(f"{file}:{number}: {counted(len(row), 'column')}, not {len(heads)}", LAYOUT)
    values: dict[str, list[list[float]]] = {}
    for column, name in enumerate(heads):
        own = [_number(row, column, f"{file}:{number}") for number, row in enumerate(rows[1:], 2)]
        values.setdefault(name, []).append(own)
    return ScoreTable(metric, file, values)


def _check_heads(file: str, heads: Sequence[str], systems: Sequence[tuple[str, int]]) -> None:
    """Raise DataError if a column names no system, or if a system has not one column for each seed."""
    known = dict(systems)
    for name in dict.fromkeys(heads):
        if name not in known:
            raise DataError(f"{file}: no system is called {name!r}", f"the systems are {', '.join(known)}")
        if heads.count(name) != known[name]:
            hint = "give each seed a column, all with the name of the system"
            raise DataError(f"{file}: {heads.count(name)} columns of {name}, which has {known[name]} seeds", hint)


def _number(row: Sequence[str], column: int, where: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: column {column + 1} is not a number")
    return value
