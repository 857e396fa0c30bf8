"""Bars: one of text, and the plots of a score on buckets of lines."""

import math
from collections.abc import Iterator, Sequence

from s2s.metrics.breakdown import Breakdown, Bucket
from s2s.report.svg import LIGHT, Drawing, document, element, moved, text, text_width, tooltip, wrapped

EIGHTHS = " ▏▎▍▌▋▊▉"
WIDTH, HEIGHT = 760.0, 250.0  # of the plot with its labels, and of its bars alone, in pixels
LEFT = 48.0  # width of the labels of the axis
NARROW = 340.0  # width of the plot on a telephone
LINE = 16.0  # height of a line of text


def bar(value: float, maximum: float, width: int) -> str:
    """Return a bar of `value` on a scale from 0 to `maximum`, at most `width` characters, in eighths."""
    eighths = round(8 * width * min(max(value / maximum, 0), 1)) if maximum > 0 and math.isfinite(value) else 0
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def svg_breakdown(names: Sequence[str], figure: Breakdown, *, narrow: bool = False) -> str:
    """Return scores on buckets of lines as a self-contained SVG, with 95 % intervals; `narrow`: for a telephone."""
    drawing = draw_narrow_breakdown(names, figure) if narrow else draw_breakdown(names, figure)
    return document(drawing, f"{figure.metric} by {figure.by}: {', '.join(names)}")


def draw_breakdown(names: Sequence[str], figure: Breakdown) -> Drawing:
    """Draw the plot: legend, scale, bars with intervals, and below each group of bars its label and number of lines."""
    key = legend(names)
    top = key.height + 36
    scale = _scale(figure.buckets)
    parts = [key.body, text(figure.metric, 4, top - 24, class_="muted"), *_grid(top, scale)]
    group = (WIDTH - LEFT - 8) / max(1, len(figure.buckets))
    with_noun = all(text_width(_count(figure, bucket)) <= group for bucket in figure.buckets)
    height = 0.0
    for place, bucket in enumerate(figure.buckets):
        bars = _bars(figure, bucket, names, group, scale, with_noun=with_noun)
        parts.append(moved(bars, LEFT + group * place, top))
        height = max(height, bars.height)
    bottom = top + height + 24
    axis = figure.axis if with_noun else f"{figure.axis}; below: {figure.counted}"
    parts.append(text(axis, LEFT + (WIDTH - LEFT) / 2, bottom - 4, text_anchor="middle", class_="muted"))
    return Drawing(WIDTH, bottom + 8, "".join(parts))


def draw_narrow_breakdown(names: Sequence[str], figure: Breakdown) -> Drawing:
    """Draw the plot for a narrow screen: horizontal bars with their values, below the label of each bucket."""
    key = legend(names, NARROW, 0)
    parts, y = [key.body], key.height + 6
    for line in wrapped(figure.axis, NARROW) if figure.unit else []:
        y += LINE
        parts.append(text(line, 0, y, class_="muted"))
    points = (NARROW - text_width(" 100.0")) / _scale(figure.buckets)  # pixels for each
    for bucket in figure.buckets:
        y += 10
        count = _count(figure, bucket).replace(" ", "\N{NO-BREAK SPACE}")
        for line in wrapped(f"{bucket.label} ({count})", NARROW):
            y += LINE
            parts.append(text(line, 0, y))
        y += 6
        for series, value in enumerate(bucket.values):
            told = tooltip(_tell(figure, bucket, names, series))
            parts.append(element("rect", told, x=0, y=y, width=points * value, height=12, rx=2, fill=color(series)))
            low, high = (points * end for end in _ends(bucket, series, _scale(figure.buckets)))
            if low < high:
                parts.append(element("line", x1=low, x2=high, y1=y + 6, y2=y + 6, class_="interval"))
            parts.append(text(f"{value:.1f}", high + 6, y + 10))
            y += LINE
    return Drawing(NARROW, y + 8, "".join(parts))


def color(series: int) -> str:
    """Return the color of the system at this position as CSS; colors repeat after eight."""
    return f"var(--series-{series % len(LIGHT)})"


def legend(names: Sequence[str], width: float = WIDTH, left: float = LEFT) -> Drawing:
    """Draw each name with its color, in as many lines as they need."""
    x, y, parts = left, 8.0, []
    for series, name in enumerate(names):
        lines = wrapped(name, width - left - 18)
        needed = 30 + max(map(text_width, lines))
        if x > left and x + needed > width:
            x, y = left, y + 20
        parts.append(element("rect", x=x, y=y, width=12, height=12, rx=2, fill=color(series)))
        parts += [text(line, x + 18, y + 10 + LINE * number) for number, line in enumerate(lines)]
        x += needed
        y += LINE * (len(lines) - 1)
    return Drawing(width, y + 16, "".join(parts))


def _scale(buckets: Sequence[Bucket]) -> int:
    """Return the top of the axis: the next multiple of 20 (of 10 below 50)."""
    maximum = max((value for bucket in buckets for value in bucket.values), default=100)
    step = 20 if maximum > 50 else 10
    return max(step, step * math.ceil(maximum / step - 1e-9))


def _grid(top: float, scale: int) -> Iterator[str]:
    for value in range(0, scale + 1, 20 if scale > 50 else 10):
        y = top + HEIGHT * (1 - value / scale)
        yield element("line", x1=LEFT, x2=WIDTH - 8, y1=y, y2=y, class_="line")
        yield text(str(value), LEFT - 8, y + 4, text_anchor="end", class_="muted")


def _bars(
    figure: Breakdown, bucket: Bucket, names: Sequence[str], width: float, scale: int, *, with_noun: bool
) -> Drawing:
    """Draw the bars of a bucket above its label and its number of lines."""
    parts = []
    space = min(70.0, 0.76 * width / max(1, len(names)))
    start = (width - space * len(names)) / 2
    for series, value in enumerate(bucket.values):
        height = HEIGHT * value / scale
        x, y, thick = start + space * series, HEIGHT - height, 0.88 * space
        told = tooltip(_tell(figure, bucket, names, series))
        parts.append(element("rect", told, x=x, y=y, width=thick, height=height, rx=2, fill=color(series)))
        below, above = (HEIGHT * (1 - end / scale) for end in _ends(bucket, series, scale))
        if above < below:
            parts.append(element("line", x1=x + thick / 2, x2=x + thick / 2, y1=above, y2=below, class_="interval"))
        if space >= text_width("100.0"):
            parts.append(text(f"{value:.1f}", x + thick / 2, above - 5, text_anchor="middle"))
    y = HEIGHT + 2
    for line in wrapped(bucket.label, width - 6):
        y += LINE
        parts.append(text(line, width / 2, y, text_anchor="middle"))
    shown = _count(figure, bucket) if with_noun else f"{bucket.count:,}"
    parts.append(text(shown, width / 2, y + LINE, text_anchor="middle", class_="muted"))
    return Drawing(width, y + LINE, "".join(parts))


def _count(figure: Breakdown, bucket: Bucket) -> str:
    """Return `204 sentences`, `1 image`."""
    return f"{bucket.count:,} {figure.counted.removesuffix('s') if bucket.count == 1 else figure.counted}"


def _ends(bucket: Bucket, series: int, scale: int) -> tuple[float, float]:
    """Return the ends of a value's interval, clipped to the scale; both are the value if the interval is unknown."""
    value, interval = bucket.values[series], bucket.intervals[series] if bucket.intervals else 0.0
    return max(0.0, value - interval), min(scale, value + interval)


def format_values(bucket: Bucket) -> list[str]:
    """Return the scores of a bucket, with half the width of their 95 % intervals: `98.7 ± 1.5`."""
    if not bucket.intervals:
        return [f"{value:.1f}" for value in bucket.values]
    return [f"{value:.1f} ± {own:.1f}" for value, own in zip(bucket.values, bucket.intervals, strict=True)]


def _tell(figure: Breakdown, bucket: Bucket, names: Sequence[str], series: int) -> str:
    """Return a bar in words: `attention, 20–39 characters: BLEU 98.7 ± 1.5`."""
    label = f"{bucket.label} {figure.unit}".rstrip()
    return f"{names[series]}, {label}: {figure.metric} {format_values(bucket)[series]}"
