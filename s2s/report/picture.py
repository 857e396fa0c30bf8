"""Draw a comparison as one picture: a score by source length beside an attention heat map."""

from s2s.report.figures import Comparison, HeatMap, Pixels
from s2s.report.image_maps import draw_attention
from s2s.report.plots import LINE, draw_breakdown
from s2s.report.svg import Drawing, document, moved, text, text_width, wrapped

EDGE = 20.0
TOP = EDGE + 46  # of the drawings, below a title and a line of small text
TITLE = 1.25  # size of a title, relative to other text


def svg_picture(comparison: Comparison) -> str:
    """Return the picture of a comparison as a self-contained SVG for a README."""
    figure = comparison.breakdowns[0]
    bars = draw_breakdown([system.name for system in comparison.systems], figure)
    lines = wrapped(comparison.task, bars.width)
    top = TOP + LINE * (len(lines) - 1)
    parts = [
        text(f"{figure.metric} by {figure.by}", EDGE, EDGE + 14, class_="title"),
        *(text(line, EDGE, EDGE + 34 + LINE * number, class_="muted") for number, line in enumerate(lines)),
        moved(bars, EDGE, top),
    ]
    width, height = bars.width + 2 * EDGE, top + bars.height + EDGE
    if found := shown_attention(comparison):
        name, heatmap, image = found
        drawing = draw_attention(heatmap, image)
        title = f"attention of {name}"
        parts.append(text(title, width, EDGE + 14, class_="title"))
        parts.append(moved(drawing, width, top))
        width += max(drawing.width, TITLE * text_width(title)) + EDGE
        height = max(height, top + drawing.height + EDGE)
    return document(
        Drawing(width, height, "".join(parts)), f"{comparison.title}: {figure.metric} by {figure.by}, attention"
    )


def shown_attention(comparison: Comparison) -> tuple[str, HeatMap, Pixels | None] | None:
    """Return the name and heat map of the best system with one in the first example, and the example's image."""
    for example in comparison.examples[:1]:
        pairs = zip(comparison.systems, example.heatmaps, strict=False)
        shown = [(system, heatmap) for system, heatmap in pairs if heatmap]
        if shown:
            system, heatmap = max(reversed(shown), key=lambda pair: pair[0].scores[comparison.metric].value)
            return system.name, heatmap, example.image
    return None
