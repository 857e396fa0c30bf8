"""Maps of attention over an image: one per word of its caption.

h, w: height and width of the grid of attention.
"""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from s2s.io.digests import digest_bytes
from s2s.report.figures import HeatMap, Pixels
from s2s.report.heatmap import Attention, clipped, describe_heatmap, draw_heatmap, shade, terminal_heatmap
from s2s.report.marking import printable
from s2s.report.svg import Drawing, document, element, text, text_width

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

WORD_START = "▁"  # first character of a token that starts a word
SIDE = 112.0  # of the longer side of a picture, in pixels
GAP = 12.0
LABEL = 20  # the widest word above a map, in cells of the terminal
ROW = 6  # pictures in a row
DARK = 0.15  # brightness of a picture where no attention is
SHADE = 32  # pixels of the longer side of a map that is laid over a picture
Map = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WordMap:
    """The attention of a word, averaged over its tokens."""

    word: str
    map: Map  # [h, w]


def word_maps(attention: Attention, tokens: Sequence[str], grid: tuple[int, int]) -> list[WordMap]:
    """Return the map of each word of a caption, from the attention [T, h · w] of its tokens; `</s>` is left out.

    Raises: ValueError if the shapes do not match.
    """
    table = np.asarray(attention, dtype=np.float64)
    if table.shape != (len(tokens), grid[0] * grid[1]):
        raise ValueError(f"attention must be [{len(tokens)}, {grid[0] * grid[1]}], a row for each token")
    numbers = np.cumsum([token.startswith(WORD_START) for token in tokens])
    maps = []
    for _, group in groupby(range(len(tokens)), key=lambda index: (numbers[index], tokens[index] == "</s>")):
        rows = list(group)
        word = "".join(tokens[row] for row in rows).removeprefix(WORD_START)
        if word and word != "</s>":
            maps.append(WordMap(word, table[rows].mean(0).reshape(grid)))
    return maps


def draw_attention(heatmap: HeatMap, image: Pixels | None, across: int = ROW, width: float = math.inf) -> Drawing:
    """Draw the attention of a sentence in `width` pixels, or that of a caption with `across` pictures in a row."""
    if heatmap.grid and image is not None:
        return draw_image_maps(image, heatmap.attention, heatmap.target, heatmap.grid, across)
    return draw_heatmap(heatmap.attention, heatmap.source, heatmap.target, width)


def describe_attention(heatmap: HeatMap) -> str:
    """Return where attention is highest, in words: for each token of a sentence, or for each word of a caption."""
    if not heatmap.grid:
        return describe_heatmap(heatmap.attention, heatmap.source, heatmap.target)
    height, width = heatmap.grid
    found = []
    for one in word_maps(heatmap.attention, heatmap.target, heatmap.grid):
        row, column = divmod(int(one.map.argmax()), width)
        found.append(f"{one.word} ← row {row + 1}, column {column + 1}")
    return f"{'; '.join(found)}; of {height} × {width}"


def svg_image_maps(pixels: Pixels, attention: Attention, tokens: Sequence[str], grid: tuple[int, int]) -> str:
    """Return an image [height, width, 3] and, for each word of its caption, where attention lies, as an SVG."""
    return document(draw_image_maps(pixels, attention, tokens, grid), "Attention over an image")


def draw_image_maps(
    pixels: Pixels, attention: Attention, tokens: Sequence[str], grid: tuple[int, int], across: int = ROW
) -> Drawing:
    """Draw the image, and it once more for each word, bright where attention is, with `across` pictures in a row.

    The image is embedded once; each word adds a shade of a few pixels that darkens it.
    """
    maps = word_maps(attention, tokens, grid)
    names = [clipped(printable(one.word), LABEL) for one in maps]
    scale = SIDE / max(pixels.shape[:2])
    height, width = pixels.shape[0] * scale, pixels.shape[1] * scale
    column = max([width, *map(text_width, names)]) + GAP
    box: dict[str, str | float] = {"width": width, "height": height, "preserveAspectRatio": "none"}
    name = f"image-{digest_bytes(pixels.tobytes())[:16]}"  # several drawings on one page share their names
    parts = [element("defs", element("image", "", id=name, href=data_uri(pixels), **box))]
    for number, shown in enumerate([None, *maps]):
        x, y = GAP + column * (number % across), GAP + (height + 30) * (number // across)
        parts.append(element("use", href=f"#{name}", x=x, y=y))
        if shown:
            parts.append(element("image", "", href=_shade_uri(shown.map, width / height), x=x, y=y, **box))
            parts.append(text(names[number - 1], x, y + height + 16, class_="token"))
    rows = -(-(1 + len(maps)) // across)
    return Drawing(GAP + column * min(across, 1 + len(maps)), GAP + (height + 30) * rows, "".join(parts))


def _shade_uri(attention: Map, aspect: float) -> str:
    """Return a black overlay as a PNG data URI; the higher the attention [h, w], the more transparent it is."""
    from PIL import Image

    relative = attention / max(float(attention.max()), 1e-9)
    opacity = np.round(255 * (1 - DARK) * (1 - np.clip(relative, 0, 1))).astype(np.uint8)
    size = max(1, round(SHADE * min(1, aspect))), max(1, round(SHADE / max(1, aspect)))
    smooth = Image.fromarray(opacity).resize(size, Image.Resampling.BICUBIC)
    return _encoded(Image.merge("LA", (Image.new("L", size), smooth)), "png")


def data_uri(pixels: Pixels) -> str:
    """Return an image [height, width, 3] as a data URI: if large, as a JPEG of twice the size it is drawn at."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((2 * SIDE, 2 * SIDE))
    return _encoded(image, "jpeg" if max(image.size) > SIDE else "png")


def _encoded(image: "PillowImage", form: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=85, optimize=True)
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def terminal_attention(heatmap: HeatMap, width: int | None = None) -> RenderableType:
    """Return the attention of a sentence, or the maps of the caption of an image, as a rich renderable."""
    if heatmap.grid:
        return terminal_image_maps(heatmap.attention, heatmap.target, heatmap.grid)
    return terminal_heatmap(heatmap.attention, heatmap.source, heatmap.target, width)


def terminal_image_maps(attention: Attention, tokens: Sequence[str], grid: tuple[int, int]) -> RenderableType:
    """Return the map of each word as a rich renderable, side by side as far as the terminal is wide."""
    return _TerminalMaps(word_maps(attention, tokens, grid), grid)


@dataclass(frozen=True, slots=True)
class _TerminalMaps:
    maps: list[WordMap]
    grid: tuple[int, int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        colored = console.color_system is not None and not console.no_color
        names = [clipped(printable(one.word), LABEL) for one in self.maps]
        column = max([2 * self.grid[1], *map(cell_len, names)]) + 2
        across = max(1, (options.max_width + 2) // column)
        for start in range(0, len(self.maps), across):
            shown = self.maps[start : start + across]
            heads = names[start : start + across]
            yield Text("".join(set_cell_size(name, column) for name in heads).rstrip(), no_wrap=True)
            for row in range(self.grid[0]):
                line = Text(no_wrap=True)
                for place, one in enumerate(shown):
                    line.append("  " if place else "")
                    highest = max(float(one.map.max()), 1e-9)
                    for value in one.map[row]:
                        line.append_text(shade(float(value) / highest, 2, colored))
                    line.append(" " * (column - 2 - 2 * self.grid[1]) if place + 1 < len(shown) else "")
                yield line
