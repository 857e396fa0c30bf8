"""A comparison as Markdown, for a RESULTS.md."""

import re
from collections.abc import Sequence

from s2s.report.figures import Comparison
from s2s.report.marking import printable
from s2s.report.plots import format_values
from s2s.report.table import COLUMNS, Row, TableCell, signatures, table


def markdown_comparison(comparison: Comparison) -> str:
    """Return title, task, scores, breakdowns, n-grams, notes, signatures, and how to repeat each row; escaped."""
    parts = [f"# {_escape(comparison.title)}", _escape(comparison.task)]
    names = [_escape(system.name) for system in comparison.systems]
    figures = [[row.label, *map(_cell, row.cells)] for row in _mark_best(table(comparison))]
    parts.append(markdown_table(["", *names], figures, transposed=len(names) > COLUMNS))
    for figure in comparison.breakdowns:
        rows = [[bucket.label, f"{bucket.count:,}", *format_values(bucket)] for bucket in figure.buckets]
        heads = [figure.unit, figure.counted, *names]
        parts += [f"{figure.metric} by {figure.by}:", markdown_table(heads, rows, transposed=len(names) > COLUMNS)]
    parts += _ngrams(comparison)
    parts += ["\n".join(f"- {_escape(note)}" for note in comparison.notes)] if comparison.notes else []
    parts.append("\n".join(f"- `{signature}`" for signature in signatures(comparison)))
    if any(system.command for system in comparison.systems):
        rows = [
            [_escape(system.name), *(_escape(text) for text in (system.code, system.machine, system.command))]
            for system in comparison.systems
        ]
        parts.append(markdown_table(["", "code", "machine", "command"], rows, transposed=False, numeric=False))
    return "\n\n".join(parts) + "\n"


def _ngrams(comparison: Comparison) -> list[str]:
    """Return what each of two systems writes and the other does not: a title and a table for each."""
    if not comparison.ngrams:
        return []
    systems = comparison.ngrams[0].systems
    heads = ["", *(head for name in systems for head in (f"{_escape(name)}: correct", "wrong"))]
    parts = []
    for name in systems:
        found = [one for one in comparison.ngrams if one.better == name]
        rows = [[_escape(one.text), *(f"{count:,}" for counts in one.counts for count in counts)] for one in found]
        if rows:
            parts += [f"{_escape(name)} writes:", markdown_table(heads, rows, transposed=False)]
    return ["What one writes and the other does not:", *parts]


def _mark_best(rows: Sequence[Row]) -> list[Row]:
    def bold(cell: TableCell) -> TableCell:
        return TableCell(f"**{cell.text}**", cell.note) if cell.best else TableCell(_escape(cell.text), cell.note)

    return [Row(row.label, row.group, tuple(map(bold, row.cells))) for row in rows]


def _cell(cell: TableCell) -> str:
    return f"{cell.text} ({cell.note.replace('  ', ', ')})" if cell.note else cell.text


def markdown_table(heads: list[str], rows: list[list[str]], *, transposed: bool, numeric: bool = True) -> str:
    """Return a table of cells that are Markdown; `numeric`: all columns but the first are set flush right."""
    lines = [heads, *rows]
    if transposed:
        lines = [list(column) for column in zip(*lines, strict=True)]
    rule = ["---", *("---:" if numeric else "---" for _ in lines[0][1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", printable(text))
