"""Scaling as SVG: losses by the size of models, and by the compute of two architectures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from s2s.report.curves import Axis, axis_of
from s2s.report.plots import WIDTH, color, legend
from s2s.report.svg import Drawing, document, element, moved, text, tooltip

LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 56.0, 28.0, 26.0, 240.0, 48.0  # of a panel and its margins, in pixels
MARGIN = 1.15  # factor by which the horizontal axis exceeds its points


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """The loss of a model, measured, or predicted with an interval."""

    name: str
    x: float  # size or compute
    loss: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ScalingPanel:
    """Points of several series over a logarithmic axis, and horizontal lines at known losses."""

    title: str
    label: str  # of the horizontal axis
    series: Mapping[str, Sequence[ScalingPoint]]
    lines: Mapping[str, float]


def svg_scaling(panels: Sequence[ScalingPanel]) -> str:
    """Return the panels, one below the other, as a self-contained SVG for light and dark backgrounds."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    key = legend(names)
    parts, y = [key.body], key.height + 8
    for panel in panels:
        drawing = _draw_panel(panel, names)
        parts.append(moved(drawing, 0, y))
        y += drawing.height
    return document(Drawing(WIDTH, y, "".join(parts)), "; ".join(panel.title for panel in panels))


def _draw_panel(panel: ScalingPanel, names: Sequence[str]) -> Drawing:
    points = [point for series in panel.series.values() for point in series]
    losses = [loss for point in points for loss in (point.loss, *(point.interval or ()))]
    low, high = min(point.x for point in points) / MARGIN, max(point.x for point in points) * MARGIN
    across = Axis(math.log10(low), math.log10(high), 1)
    up = axis_of([*losses, *panel.lines.values()])
    parts = [text(panel.title, 4, 14, class_="muted"), *_grid(across, up)]
    parts.append(text(panel.label, (LEFT + WIDTH) / 2, TOP + HEIGHT + 36, text_anchor="middle", class_="muted"))
    for name, loss in panel.lines.items():
        y = _height(up, loss)
        dashed = {"stroke": "var(--muted)", "stroke_dasharray": "5 4"}
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, **dashed))
        parts.append(text(f"{name} {loss:.3f}", LEFT + 6, y - 5, class_="muted"))
    for name, series in panel.series.items():
        for point in series:
            parts += _draw_point(point, _distance(across, point.x), up, color(names.index(name)))
    return Drawing(WIDTH, TOP + HEIGHT + BOTTOM, "".join(parts))


def _draw_point(point: ScalingPoint, x: float, up: Axis, shade: str) -> Iterator[str]:
    """Draw a measured loss as a disc, or a predicted one as a circle with its interval."""
    y, told = _height(up, point.loss), f"{point.name}: {point.loss:.4f}"
    if point.interval is None:
        yield element("circle", tooltip(told), cx=x, cy=y, r=4, fill=shade)
        return
    low, high = (_height(up, loss) for loss in point.interval)
    yield element("line", x1=x, x2=x, y1=low, y2=high, stroke=shade, stroke_width=2)
    for end in (low, high):
        yield element("line", x1=x - 5, x2=x + 5, y1=end, y2=end, stroke=shade, stroke_width=2)
    told = f"{told} ({point.interval[0]:.4f} to {point.interval[1]:.4f})"
    yield element("circle", tooltip(told), cx=x, cy=y, r=4, fill="var(--paper)", stroke=shade, stroke_width=2)


def _grid(across: Axis, up: Axis) -> Iterator[str]:
    """Draw lines at the ticks of the losses, and ticks at 1, 2 and 5 times powers of ten below."""
    for tick in up.ticks():
        y = _height(up, tick)
        yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="line")
        yield text(up.label(tick), LEFT - 8, y + 4, text_anchor="end", class_="muted")
    for exponent in range(math.floor(across.low), math.ceil(across.high)):
        for tick in (10**exponent, 2 * 10**exponent, 5 * 10**exponent):
            if across.low <= math.log10(tick) <= across.high:
                x = _distance(across, tick)
                yield element("line", x1=x, x2=x, y1=TOP + HEIGHT, y2=TOP + HEIGHT + 4, class_="line")
                yield text(_short(tick), x, TOP + HEIGHT + 18, text_anchor="middle", class_="muted")


def _distance(across: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * across.fraction(math.log10(value))


def _height(up: Axis, loss: float) -> float:
    return TOP + HEIGHT * (1 - up.fraction(loss))


def _short(value: float) -> str:
    """Return a count as `50k`, `2M`."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"
