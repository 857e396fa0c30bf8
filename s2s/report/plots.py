"""Bars: one of text, and the plot of a score on buckets of lines."""

import math
import textwrap
from collections.abc import Sequence

from s2s.metrics.breakdown import Breakdown, Bucket
from s2s.report.svg import CHARACTER, LIGHT, Drawing, document, element, moved, text, text_width, tooltip

EIGHTHS = " ▏▎▍▌▋▊▉"
WIDTH, HEIGHT = 760.0, 250.0  # of the plot with its labels, and of its bars alone, in pixels
NARROW = 320.0  # width of the plot on a telephone
LINE = 16.0  # height of a line of text
ROOM = 90.0  # pixels of a group below which the word "sentences" is left to the axis


def bar(value: float, maximum: float, width: int) -> str:
    """Return a bar of `value` on a scale from 0 to `maximum`, at most `width` characters, in eighths."""
    eighths = round(8 * width * min(max(value / maximum, 0), 1)) if maximum > 0 and math.isfinite(value) else 0
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def svg_breakdown(names: Sequence[str], figure: Breakdown, width: float = WIDTH) -> str:
    """Return scores on buckets of lines as a self-contained SVG, with their 95 % intervals."""
    return document(draw_breakdown(names, figure, width), f"{figure.metric} by {figure.by}: {', '.join(names)}")


def draw_breakdown(names: Sequence[str], figure: Breakdown, width: float = WIDTH) -> Drawing:
    """Draw the plot: legend, scale, bars with intervals, and below each group of bars its label and number of lines."""
    left = 48.0 if width == WIDTH else 26.0
    key = legend(names, width, left)
    top = key.height + 26
    scale = _scale(figure.buckets)
    parts = [key.body, text(figure.metric, 4, top - 14, class_="muted"), *_grid(left, top, width, scale)]
    group = (width - left - 8) / max(1, len(figure.buckets))
    for place, bucket in enumerate(figure.buckets):
        bars = _bars(figure, bucket, names, group, scale)
        parts.append(moved(bars, left + group * place, top))
    bottom = top + HEIGHT + 42 + LINE * max((len(_label_lines(bucket, group)) for bucket in figure.buckets), default=1)
    middle = left + (width - left) / 2
    below = "" if group >= ROOM else f"; below: {figure.counted}"
    parts.append(text(f"{figure.axis}{below}", middle, bottom - 4, text_anchor="middle", class_="muted"))
    return Drawing(width, bottom + 8, "".join(parts))


def color(series: int) -> str:
    """Return the color of the system at this position as CSS; colors repeat after eight."""
    return f"var(--series-{series % len(LIGHT)})"


def legend(names: Sequence[str], width: float = WIDTH, left: float = 48.0) -> Drawing:
    """Draw each name with its color, in as many lines as they need."""
    x, y, parts = left, 8.0, []
    for series, name in enumerate(names):
        needed = 30 + text_width(name)
        if x > left and x + needed > width:
            x, y = left, y + 20
        parts.append(element("rect", x=x, y=y, width=12, height=12, rx=2, fill=color(series)))
        parts.append(text(name, x + 18, y + 10))
        x += needed
    return Drawing(width, y + 16, "".join(parts))


def _scale(buckets: Sequence[Bucket]) -> int:
    """Return the top of the axis: the next multiple of 20 (of 10 below 50)."""
    maximum = max((value for bucket in buckets for value in bucket.values), default=100)
    step = 20 if maximum > 50 else 10
    return max(step, step * math.ceil(maximum / step - 1e-9))


def _grid(left: float, top: float, width: float, scale: int) -> list[str]:
    parts = []
    for value in range(0, scale + 1, 20 if scale > 50 else 10):
        y = top + HEIGHT * (1 - value / scale)
        parts.append(element("line", x1=left, x2=width - 8, y1=y, y2=y, class_="line"))
        parts.append(text(str(value), left - 8, y + 4, text_anchor="end", class_="muted"))
    return parts


def _bars(figure: Breakdown, bucket: Bucket, names: Sequence[str], width: float, scale: int) -> Drawing:
    parts = []
    space = min(70.0, 0.76 * width / max(1, len(names)))
    start = (width - space * len(names)) / 2
    for series, (name, value) in enumerate(zip(names, bucket.values, strict=True)):
        height = HEIGHT * value / scale
        x, y, thick = start + space * series, HEIGHT - height, 0.88 * space
        interval = bucket.intervals[series] if bucket.intervals else 0.0
        shown = f"{value:.1f}" + (f" ± {interval:.1f}" if bucket.intervals else "")
        told = tooltip(f"{name}, {bucket.label} {figure.unit}: {figure.metric} {shown}")
        parts.append(element("rect", told, x=x, y=y, width=thick, height=height, rx=2, fill=color(series)))
        above = HEIGHT * (1 - min(scale, value + interval) / scale)
        if interval:
            below = HEIGHT * (1 - max(0, value - interval) / scale)
            parts.append(element("line", x1=x + thick / 2, x2=x + thick / 2, y1=above, y2=below, class_="interval"))
        if space >= 34:
            parts.append(text(f"{value:.1f}", x + thick / 2, above - 5, text_anchor="middle"))
    noun = "" if width < ROOM else f" {figure.counted.removesuffix('s') if bucket.count == 1 else figure.counted}"
    lines = _label_lines(bucket, width)
    for number, line in enumerate(lines):
        parts.append(text(line, width / 2, HEIGHT + 18 + LINE * number, text_anchor="middle"))
    bottom = HEIGHT + 18 + LINE * len(lines)
    parts.append(text(f"{bucket.count:,}{noun}", width / 2, bottom, text_anchor="middle", class_="muted"))
    return Drawing(width, bottom + 6, "".join(parts))


def _label_lines(bucket: Bucket, width: float) -> list[str]:
    """Break the label of a bucket into lines that fit its width."""
    return textwrap.wrap(bucket.label, max(6, int(width / CHARACTER)), break_long_words=False) or [""]
