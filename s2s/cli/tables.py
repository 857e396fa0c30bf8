"""Print tables on standard output: in the terminal's width, or one line per row in a pipe. Nothing is cut off."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from s2s.report.console import PlainConsole, escape_control, out

SHORT = 24  # cells: on a narrow terminal, columns with longer texts fold first
GAP = 2  # cells between two columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    cells: list[str]
    is_number: bool

    @property
    def width(self) -> int:
        """Cells of the widest text."""
        return max(cell_len(text) for text in (self.name, *self.cells))

    @property
    def minimum(self) -> int:
        """Cells that it needs: numbers and short texts do not fold."""
        return self.width if self.is_number else min(self.width, SHORT)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Collection[str] = (),
    *,
    keys: int = 1,
    details: str | None = None,
) -> None:
    """Print a table in the terminal's width; without a terminal, each row on one line, whole.

    Columns that do not fit a terminal continue in further tables, which repeat the first `keys` columns. The columns
    that `numbers` names are set flush right. At a terminal, the column `details` is a line of its own below each row.
    """
    found = [
        Column(name, [one_line(row[index]) for row in rows], name in numbers) for index, name in enumerate(columns)
    ]
    if not out.is_terminal:
        piped = PlainConsole()
        piped.width = sum(column.width + GAP for column in found)
        with piped.capture() as drawn:
            piped.print(_table(found, piped.width, range(len(rows))))
        print("\n".join(line.rstrip() for line in drawn.get().splitlines()))
        return
    below = next((column.cells for column in found if column.name == details), None)
    *groups, last = _groups([column for column in found if column.name != details], keys, out.width)
    for group in groups:
        out.print(_table(group, out.width, range(len(rows))))
        out.print()
    if below is None:
        out.print(_table(last, out.width, range(len(rows))))
        return
    out.print(_table(last, out.width, ()))
    for row, text in enumerate(below):
        out.print(_table(last, out.width, (row,), header=False))
        out.print(Padding(Text(text, style="dim"), (0, 0, 0, GAP)))


def _groups(columns: Sequence[Column], keys: int, width: int) -> Iterator[list[Column]]:
    """Yield the columns in groups that fit a width, each with the first `keys` columns."""
    group = list(columns[:keys])
    for column in columns[keys:]:
        if len(group) > keys and sum(one.minimum + GAP for one in (*group, column)) - GAP > width:
            yield group
            group = list(columns[:keys])
        group.append(column)
    yield group


def _table(columns: Sequence[Column], width: int, rows: Collection[int], *, header: bool = True) -> Table:
    """Build a table of some rows, as wide in each column as all rows need."""
    room = width - sum(column.minimum + GAP for column in columns) + GAP
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=header)
    for column in columns:
        more = min(column.width - column.minimum, max(0, room))
        room -= more
        justify = "right" if column.is_number else "left"
        table.add_column(Text(column.name), justify=justify, overflow="fold", width=column.minimum + more)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(column.cells[row]) for column in columns))
    return table


def one_line(text: str) -> str:
    """Return a text on one line, with control characters escaped."""
    return escape_control(" ".join(text.split()))
