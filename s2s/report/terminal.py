"""A comparison in the terminal: figures, those by source length, an example with its heat-map, signatures.

Nothing is cut off (from 40 cells on): names and sentences fold, figures keep their column, signatures their line.
"""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from s2s.metrics.breakdown import Breakdown
from s2s.metrics.scores import texts_of
from s2s.report.figures import Comparison, Example, System
from s2s.report.image_maps import terminal_attention
from s2s.report.marking import marked, nearest, printable
from s2s.report.picture import shown_attention
from s2s.report.plots import bar
from s2s.report.table import COLUMNS, Row, TableCell, headline, signatures, table

GAP = 3  # between two columns, in cells
EXAMPLES = 3  # a page has the others
SOURCE = 600  # the longest source shown whole, in characters; a page has all of it
LABEL = 10  # the narrowest labels of rows, in cells
NAME = 20  # the widest name of a system before its line, and the widest label of bars, in cells
SHORTEST, BAR = 4, 24  # the shortest scale of bars, and the longest, in cells
NETWORK = 14  # the width below which the words for a network do not fold, in cells
INDENT = (0, 0, 0, 2)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the comparison in the console's width, with colors if it supports them."""
    console.print(Text.assemble((printable(comparison.title), "bold"), "\n", printable(comparison.task)))
    console.print()
    for part in _tables(comparison, console.width):
        console.print(Padding(part, INDENT, expand=False))
        console.print()
    for example in comparison.examples[:EXAMPLES]:
        console.print(Text(printable(example.title), style="bold"))
        console.print(Padding(_example(comparison, example, _is_monochrome(console)), INDENT, expand=False))
        console.print()
    if found := shown_attention(comparison):
        name, heatmap, _ = found
        of_image = "  a map of the image for each word" if heatmap.grid else "  rows: its output, columns: the source"
        told = (f"attention of {printable(name)}", "bold"), of_image
        console.print(Text.assemble(*told))
        drawn = terminal_attention(heatmap)
        console.print(Padding(drawn, INDENT, expand=False))
        console.print()
    if finding := headline(comparison):
        console.print(Text(printable(finding), style="bold"))
    for note in comparison.notes:
        console.print(Text(printable(note)))
    for signature in signatures(comparison):
        console.print(Text(f"  {printable(signature)}", style="dim"), soft_wrap=True)  # on one line, to be copied


def _is_monochrome(console: Console) -> bool:
    return console.color_system is None or console.no_color


def _tables(comparison: Comparison, width: int) -> Iterator[RenderableType]:
    """Lay out few systems in columns, if those have room for whole figures; else in lines."""
    rows = table(comparison)
    figures = [cell.text for row in rows if row.label != "network" for cell in row.cells]
    figure = max(map(_unbroken, figures), default=1)
    systems = len(comparison.systems)
    room = width - 2 - GAP * systems  # of labels and columns
    labels = min(max(len(row.label) for row in rows), room - figure * systems)
    if systems > COLUMNS or labels < LABEL:
        return _lines(comparison, rows, width)
    return _columns(comparison, rows, width, labels, figure)


def _unbroken(text: str) -> int:
    """Return the width below which a figure would be broken: that of its longest word, percent sign included."""
    return max(map(cell_len, text.replace(" %", "\N{NO-BREAK SPACE}%").split(" ")))


def _columns(
    comparison: Comparison, rows: Sequence[Row], width: int, labels: int, figure: int
) -> Iterator[RenderableType]:
    """Lay out the systems in columns, beside labels that fold; `figure`: the narrowest column, in cells."""
    systems = len(comparison.systems)
    column_width = (width - 2 - labels - GAP * systems) // systems
    names = [_name(system, column_width, "bold") for system in comparison.systems]
    grid = _grid()
    grid.add_column(width=labels)
    for _ in names:
        grid.add_column(min_width=figure, max_width=column_width, overflow="fold")
    grid.add_row("", *names)
    for row in rows:
        grid.add_row(Text(row.label), *(_figure(cell, column_width) for cell in row.cells))
    yield grid
    for shown in _main_breakdowns(comparison):
        title = Text(f"{shown.metric} by {shown.by} ({shown.unit}, {shown.counted})", style="bold")
        yield Group(title, _bars(comparison, shown, width))


def _main_breakdowns(comparison: Comparison) -> list[Breakdown]:
    """Return those by the first property, which is length; a page has the others."""
    return [figure for figure in comparison.breakdowns if figure.by == comparison.breakdowns[0].by]


def _bars(comparison: Comparison, figure: Breakdown, width: int) -> RenderableType:
    """Draw bars beside labels that fold; without room for bars, lay out figures alone."""
    systems = len(comparison.systems)
    maximum = max((value for bucket in figure.buckets for value in bucket.values), default=0)
    widest = max(len(bucket.label) for bucket in figure.buckets)
    counts = max(len(f"{bucket.count:,}") for bucket in figure.buckets)
    room = width - 2 - counts - GAP * (systems + 1) - 6 * systems  # of labels and bars; 6 for a figure
    labels = min(widest, NAME, room - SHORTEST * systems)
    if labels < min(widest, LABEL):
        return Group(*_figures(comparison, figure, width))
    longest = min(BAR, (room - labels) // systems)
    grid = _grid()
    grid.add_column(justify="right", width=labels, overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    for _ in range(systems):
        grid.add_column(no_wrap=True, min_width=longest + 6)
    grid.add_row("", "", *(_name(system, longest + 6, "dim") for system in comparison.systems))
    for bucket in figure.buckets:
        bars = [_bar(value, maximum, longest) for value in bucket.values]
        grid.add_row(Text(bucket.label), Text(f"{bucket.count:,}", style="dim"), *bars)
    return grid


def _bar(value: float, maximum: float, width: int) -> Text:
    return Text.assemble((bar(value, maximum, width), "bright_blue"), f" {value:.1f}")


def _lines(comparison: Comparison, rows: Sequence[Row], width: int) -> Iterator[RenderableType]:
    """Lay out many systems: one line each, with the columns split into tables that fit the width."""
    rows = sorted(rows, key=lambda row: row.group != "scores")
    name = max(6, min(NAME, width // 3))
    for fitting in _row_groups(rows, width - 2 - name):
        yield _transposed_table(comparison, fitting, name)
    for figure in _main_breakdowns(comparison):
        title = Text(f"{figure.metric} by {figure.by} ({figure.unit})", style="bold")
        yield Group(title, *_figures(comparison, figure, width))


def _figures(comparison: Comparison, figure: Breakdown, width: int) -> Iterator[Table]:
    """Lay out a line for each system, with the buckets split into tables that fit the width."""
    name = max(cell_len(figure.counted), min(NAME, width // 3))
    columns = []
    for bucket in figure.buckets:
        cells = [f"{bucket.count:,}", *(f"{value:.1f}" for value in bucket.values)]
        columns.append(Row(bucket.label, "scores", tuple(map(TableCell, cells))))
    for fitting in _row_groups(columns, width - 2 - name):
        grid = _grid(2)
        grid.add_column(no_wrap=True)
        for _ in fitting:
            grid.add_column(justify="right", no_wrap=True)
        grid.add_row("", *(Text(column.label.replace(" ", "\n"), style="dim") for column in fitting))
        grid.add_row(*(Text(text, style="dim") for text in (figure.counted, *(one.cells[0].text for one in fitting))))
        for place, system in enumerate(comparison.systems, start=1):
            grid.add_row(_name(system, name), *(column.cells[place].text for column in fitting))
        yield grid


def _row_groups(rows: Sequence[Row], room: int) -> Iterator[list[Row]]:
    """Yield the rows in groups whose transposed columns need at most `room` cells (or one row that is too wide)."""
    group: list[Row] = []
    for row in rows:
        if group and sum(map(_needed, [*group, row])) > room:
            yield group
            group = []
        group.append(row)
    yield group


def _needed(row: Row) -> int:
    note = max(cell_len(cell.note) for cell in row.cells)
    figures = max(cell_len(text) for text in (*row.label.split(), *(cell.text for cell in row.cells)))
    return 2 + (min(figures, NETWORK) if row.label == "network" else figures) + (2 + note if note else 0)


def _transposed_table(comparison: Comparison, rows: Sequence[Row], name: int) -> Table:
    grid = _grid(2)
    grid.add_column(no_wrap=True)
    heads: list[Text] = [Text("")]
    for row in rows:
        folds = row.label == "network"
        grid.add_column(justify="left" if folds else "right", no_wrap=not folds, overflow="fold")
        heads.append(Text(row.label.replace(" ", "\n"), style="dim"))
        if any(cell.note for cell in row.cells):
            grid.add_column(no_wrap=True)
            heads.append(Text("to the first", style="dim"))
    grid.add_row(*heads)
    for place, system in enumerate(comparison.systems):
        cells: list[Text] = [_name(system, name)]
        for row in rows:
            cell = row.cells[place]
            cells.append(_value(cell))
            cells += [_note_text(cell)] if any(other.note for other in row.cells) else []
        grid.add_row(*cells)
    return grid


def _name(system: System, width: int, style: str = "") -> Text:
    """Break a system's name after punctuation if it is wider than `width`, else anywhere."""
    lines = [""]
    for part in re.findall(r".+?[-._/]+|.+", printable(system.name)):
        for token in _tokens(part, width):
            if cell_len(lines[-1] + token) <= width:
                lines[-1] += token
            else:
                lines.append(token)
    return Text("\n".join(line for line in lines if line), style=style)


def _tokens(part: str, width: int) -> list[str]:
    return [part[start : start + width] for start in range(0, len(part), width)]


def _grid(gap: int = GAP) -> Table:
    return Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0))


def _figure(cell: TableCell, width: int) -> Text:
    """Return a value with its note beside it, or below if `width` is too small for both."""
    value, note = _value(cell), _note_text(cell)
    if not note:
        return value
    beside = cell_len(value.plain) + 3 + cell_len(note.plain) <= width
    return Text.assemble(value, "   " if beside else "\n", note)


def _value(cell: TableCell) -> Text:
    return Text(printable(cell.text), style="bold" if cell.best else "")


def _note_text(cell: TableCell) -> Text:
    return Text(cell.note, style="green" if cell.note.startswith("+") else "red" if cell.note.startswith("−") else "")


def _example(comparison: Comparison, example: Example, plain: bool) -> Table:
    grid = _grid(2)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    references = texts_of(example.reference)
    grid.add_row(Text("source", style="dim"), Text(printable(_without_middle(example.source))))
    for number, reference in enumerate(references):
        grid.add_row(Text("" if number else "reference", style="dim"), Text(printable(reference)))
    for system, output in zip(comparison.systems, example.outputs, strict=True):
        grid.add_row(_name(system, NAME, "bold"), _mark_differences(output, nearest(output, references), plain))
    if any(output not in references for output in example.outputs):
        grid.add_row(
            "", Text(f"{'‹ ›' if plain else 'red'} differs from the reference; ‹…› marks missing words", style="dim")
        )
    return grid


def _without_middle(text: str) -> str:
    """Return a text with `…` for the middle if it is longer than SOURCE."""
    return text if len(text) <= SOURCE else f"{text[: SOURCE // 2]} … {text[-SOURCE // 2 :]}"


def _mark_differences(output: str, reference: str, plain: bool) -> Text:
    """Mark words that differ from the reference in red, or with ‹ › without colors; ‹…› marks missing words."""
    text = Text()
    for span in marked(printable(output), printable(reference)):
        if span.kind == "missing":
            text.append("‹…›", style="red")
        elif span.kind == "different":
            text.append(f"‹{span.text}›" if plain else span.text, style="bold red")
        else:
            text.append(span.text)
    return text
