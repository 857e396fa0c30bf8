"""Print tables on standard output: in the terminal's width, or one line per row in a pipe."""

from collections.abc import Collection, Sequence

from s2s.report.console import PlainConsole, escape_control, out

PIPED_WIDTH = 2000  # columns where standard output is no terminal, so that a row stays one line
SHORT = 24  # characters: on a narrow terminal, columns with longer texts wrap first


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str] = ()) -> None:
    """Print a table in the terminal's width; without a terminal, each row on one line, whole.

    The columns that `numbers` names are set flush right.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        short = all(len(row[index]) <= SHORT for row in rows)
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*map(one_line, row))
    if out.is_terminal:
        out.print(table)
        return
    piped = PlainConsole()
    piped.width = PIPED_WIDTH
    with piped.capture() as drawn:
        piped.print(table)
    for line in drawn.get().splitlines():
        print(line.rstrip())


def one_line(text: str) -> str:
    """Text of others on one line, and unable to drive the terminal."""
    return escape_control(" ".join(text.split()))
