"""Lines of braille dots for the terminal."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.text import Text

EVERY = 18  # columns between two letters on a line
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a braille character, by column and row


class Canvas:
    """Canvas of braille characters, each 2 dots wide and 4 dots high, with letters on top.

    Coordinates are fractions, 0 to 1, of the width from the left and of the height from the bottom.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.dots: dict[tuple[int, int], int] = {}
        self.letters: dict[tuple[int, int], str] = {}
        self.styles: dict[tuple[int, int], str] = {}

    def draw(self, places: Sequence[tuple[float, float]], letter: str, style: str, first: int) -> None:
        """Draw lines from place to place in a rich style.

        The letter stands in column `first`, every EVERY columns after it, and at the end.
        """
        cell, due = (0, 0), first
        for x, y in _interpolate([self._dot(*place) for place in places]):
            cell = y // 4, x // 2
            self.dots[cell] = self.dots.get(cell, 0) | DOTS[x % 2][y % 4]
            self.styles[cell] = style
            if cell[1] >= due:
                self.letters[cell] = letter
                due = cell[1] + EVERY
        self.letters[cell] = letter

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of a place."""
        across, down = self._dot(x, y)
        return down // 4, across // 2

    def line(self, row: int) -> Text:
        """Return a row of cells."""
        line = Text()
        for cell in ((row, column) for column in range(self.columns)):
            drawn = chr(0x2800 + self.dots[cell]) if cell in self.dots else " "
            line.append(self.letters.get(cell, drawn), self.styles.get(cell))
        line.rstrip()
        return line

    def _dot(self, x: float, y: float) -> tuple[int, int]:
        return round(x * (2 * self.columns - 1)), round((1 - y) * (4 * self.rows - 1))


def _interpolate(dots: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the dots of the lines that join `dots`."""
    yield from dots[:1]
    for (x, y), (to_x, to_y) in pairwise(dots):
        steps = max(abs(to_x - x), abs(to_y - y))
        for step in range(1, steps + 1):
            yield x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps)
