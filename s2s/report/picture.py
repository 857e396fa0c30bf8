"""Draw a comparison as one picture: a score by source length beside an attention heat map."""

from s2s.report.figures import Comparison, HeatMap, Pixels
from s2s.report.image_maps import draw_attention
from s2s.report.plots import draw_breakdown
from s2s.report.svg import Drawing, document, moved, text

EDGE = 20.0
TOP = EDGE + 46  # of the drawings, below a title and a line of small text


def svg_picture(comparison: Comparison) -> str:
    """Return the picture of a comparison as a self-contained SVG for a README."""
    figure = comparison.breakdowns[0]
    bars = draw_breakdown([system.name for system in comparison.systems], figure)
    parts = [
        text(f"{figure.metric} by {figure.by}", EDGE, EDGE + 14, class_="title"),
        text(comparison.task, EDGE, EDGE + 34, class_="muted"),
        moved(bars, EDGE, TOP),
    ]
    width, height = bars.width + 2 * EDGE, TOP + bars.height + EDGE
    if found := shown_attention(comparison):
        name, heatmap, image = found
        drawing = draw_attention(heatmap, image)
        parts.append(text(f"attention of {name}", width, EDGE + 14, class_="title"))
        parts.append(moved(drawing, width, TOP))
        width, height = width + drawing.width + EDGE, max(height, TOP + drawing.height + EDGE)
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
