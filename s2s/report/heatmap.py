"""Heat maps of attention: rows are target tokens, columns source tokens, shades range from 0 to the maximum."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.style import Style
from rich.text import Text

from s2s.report.marking import printable
from s2s.report.svg import Drawing, document, element, moved, text, text_width, tooltip

Attention = Sequence[Sequence[float]]

# Viridis, as in matplotlib: perceptually uniform and readable with any color vision.
RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
SHADES = ((0.1, "·"), (0.3, "░"), (0.55, "▒"), (0.8, "▓"))  # up to a fraction of the largest value; "█" above
LABEL = 20  # the widest label, in cells of the terminal
HEIGHT = 12  # the tallest label of a column written downwards, in lines
HORIZONTAL = 9  # the widest label of a column written across, in cells
SIDE = 20  # of a square in the SVG, in pixels


def terminal_heatmap(
    attention: Attention, source_tokens: Sequence[str], target_tokens: Sequence[str], width: int | None = None
) -> RenderableType:
    """Return a heat map [T, S] as a rich renderable: colored where possible, else shaded blocks.

    It is at most `width` cells wide (None: as wide as the console); a line tells how many columns are left out.
    Raises: ValueError if its shape does not match the tokens.
    """
    _check(attention, source_tokens, target_tokens)
    return _Terminal(attention, _labels(source_tokens), _labels(target_tokens), width)


def svg_heatmap(attention: Attention, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> str:
    """Return a heat map [T, S] as a self-contained SVG for light and dark backgrounds.

    Raises: ValueError if its shape does not match the tokens.
    """
    drawing = draw_heatmap(attention, source_tokens, target_tokens)
    return document(drawing, "Attention", describe_heatmap(attention, source_tokens, target_tokens))


def describe_heatmap(attention: Attention, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> str:
    """Return for each target token the source token with most attention: `▁twenty ← zwanzig 82 %`."""
    highest = [max(zip(row, source_tokens, strict=True), default=(0.0, "")) for row in attention]
    return ", ".join(
        f"{target} ← {source} {weight:.0%}".replace("%", " %")
        for target, (weight, source) in zip(target_tokens, highest, strict=True)
    )


def draw_heatmap(
    attention: Attention, source_tokens: Sequence[str], target_tokens: Sequence[str], width: float = math.inf
) -> Drawing:
    """Draw the heat map: source tokens vertically above the columns, target tokens before the rows.

    Columns that do not fit `width` pixels follow below.
    """
    _check(attention, source_tokens, target_tokens)
    sources, targets = _labels(source_tokens), _labels(target_tokens)
    left = 12 + _widest(targets)
    columns = max(1, int(min((width - left - 12) / SIDE, len(sources))))
    maximum, parts, y = _maximum(attention), [], 0.0
    for start in range(0, max(1, len(sources)), columns):
        shown = slice(start, start + columns)
        block = _block([row[shown] for row in attention], sources[shown], targets, left, maximum)
        parts.append(moved(block, 0, y))
        y += block.height
    return Drawing(left + SIDE * columns + 12, y, "".join(parts))


def _block(
    attention: Attention, sources: Sequence[str], targets: Sequence[str], left: float, maximum: float
) -> Drawing:
    """Draw columns of the heat map, with its squares from `left`."""
    top = 12 + _widest(sources)
    width, height = SIDE * len(sources), SIDE * len(targets)
    parts = [
        text(clipped(label, LABEL), left - 6, top + SIDE * (row + 0.7), text_anchor="end", class_="token")
        for row, label in enumerate(targets)
    ]
    for column, label in enumerate(sources):
        place = f"translate({left + SIDE * (column + 0.7):.0f} {top - 6:.0f}) rotate(-90)"
        parts.append(text(clipped(label, LABEL), 0, 0, class_="token", transform=place))
    parts += _squares(attention, sources, targets, left, top, maximum)
    parts.append(element("rect", x=left, y=top, width=width, height=height, class_="frame"))
    return Drawing(left + width + 12, top + height + 12, "".join(parts))


def _widest(labels: Sequence[str]) -> float:
    """Return the width of the widest label in the SVG, in pixels."""
    return max((text_width(clipped(label, LABEL)) for label in labels), default=0)


def _squares(
    attention: Attention, sources: Sequence[str], targets: Sequence[str], left: float, top: float, maximum: float
) -> Iterator[str]:
    for row, row_attention in enumerate(attention):
        for column, weight in enumerate(row_attention):
            if not weight >= 0.01 * maximum:
                continue  # too faint to be seen (a long sentence has thousands), or not a number
            telling = tooltip(f"{targets[row]} ← {sources[column]}: {weight:.2f}") if weight > 0.1 * maximum else ""
            yield element(
                "rect", telling, x=left + SIDE * column, y=top + SIDE * row, width=SIDE, height=SIDE,
                fill="var(--series-1)", fill_opacity=weight / maximum,
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Terminal:
    attention: Attention
    sources: list[str]
    targets: list[str]
    width: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        colored = console.color_system is not None and not console.no_color
        width = min(self.width or options.max_width, options.max_width)
        longest = max(map(cell_len, self.targets), default=0)
        label = min(longest, LABEL, max(1, width // 3))
        cell, across = self._cell(width - label - 1)
        columns = min(len(self.sources), max(1, (width - label - 1) // cell))
        margin = " " * (label + 1)
        for line in self._header(columns, cell, across):
            yield Text(margin + line, no_wrap=True)
        maximum = _maximum(self.attention)
        for name, row in zip(self.targets, self.attention, strict=True):
            before = " " * max(0, label - cell_len(name))
            cells = Text(f"{before}{clipped(name, label)} ", no_wrap=True)
            for weight in row[:columns]:
                cells.append_text(shade(weight / maximum, cell, colored))
            yield cells
        yield self._legend(maximum, columns, colored, margin)

    def _cell(self, room: int) -> tuple[int, bool]:
        """Return the width of a column in cells, and whether labels run horizontally."""
        longest = max(map(cell_len, self.sources), default=1)
        if longest <= HORIZONTAL and max(3, longest + 1) * len(self.sources) <= room:
            return max(3, longest + 1), True
        least = max((cell_len(letter) for name in self.sources for letter in name), default=1)
        return max(least, min(3, room // max(1, len(self.sources)))), False

    def _header(self, columns: int, cell: int, across: bool) -> Iterator[str]:
        names = self.sources[:columns]
        if across:
            yield "".join(set_cell_size(name, cell) for name in names).rstrip()
            return
        letters = [_graphemes(name) for name in names]
        height = max(map(len, letters), default=0)
        for line in range(height):
            stacked = (column[line - height] if line - height >= -len(column) else "" for column in letters)
            yield "".join(set_cell_size(letter, cell) for letter in stacked).rstrip()

    def _legend(self, maximum: float, columns: int, colored: bool, margin: str) -> Text:
        legend = Text(margin + "0 ", style="dim")
        for fraction in (0.0, 0.2, 0.4, 0.65, 1.0):
            legend.append_text(shade(fraction, 2, colored))
        legend.append(f" {maximum:.2f}")
        if columns < len(self.sources):
            more = len(self.sources) - columns
            legend.append(f"   {more} more of {len(self.sources)} source tokens do not fit this width")
        return legend


def shade(fraction: float, cell: int, colored: bool) -> Text:
    """Return a cell of a heat map: a color of the ramp, or a shaded block, for a fraction of the largest value."""
    fraction = min(fraction, 1.0) if fraction > 0 else 0.0  # NaN is drawn as 0
    if colored:
        position = fraction * (len(RAMP) - 1)
        low = min(int(position), len(RAMP) - 2)
        red, green, blue = (
            round(a + (position - low) * (b - a)) for a, b in zip(RAMP[low], RAMP[low + 1], strict=True)
        )
        return Text(" " * cell, Style(bgcolor=f"#{red:02x}{green:02x}{blue:02x}"))
    shade = next((mark for limit, mark in SHADES if fraction < limit), "█")
    return Text(shade.ljust(cell) if shade == "·" else shade * cell)


def _graphemes(label: str) -> list[str]:
    """Split a label into characters to write downwards, keeping combining marks with their base."""
    letters: list[str] = []
    for character in label:
        if letters and cell_len(character) == 0:
            letters[-1] += character
        else:
            letters.append(character)
    return letters if len(letters) <= HEIGHT else [*letters[: HEIGHT - 1], "…"]


def clipped(label: str, width: int) -> str:
    """Return a label in at most `width` cells, with `…` where something is left out."""
    return label if cell_len(label) <= width else set_cell_size(label, width - 1) + "…"


def _labels(tokens: Sequence[str]) -> list[str]:
    return [printable(token) for token in tokens]


def _maximum(attention: Attention) -> float:
    """Return the largest value, never zero."""
    return max((weight for row in attention for weight in row if math.isfinite(weight)), default=0) or 1.0


def _check(attention: Attention, sources: Sequence[str], targets: Sequence[str]) -> None:
    if len(attention) != len(targets) or any(len(row) != len(sources) for row in attention):
        raise ValueError(f"attention must be [{len(targets)}, {len(sources)}], a row for each target token")
