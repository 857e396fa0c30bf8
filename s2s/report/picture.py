"""Draw a comparison as one picture: a score by source length beside an attention heat map."""

from s2s.report.figures import Comparison, HeatMap, Pixels
from s2s.report.image_maps import draw_attention
from s2s.report.plots import draw_by_length
from s2s.report.svg import Drawing, document, moved, text

EDGE = 20.0


def svg_picture(comparison: Comparison) -> str:
    """Return the picture of a comparison as a self-contained SVG for a README."""
    figure = comparison.by_length[0]
    bars = draw_by_length([system.name for system in comparison.systems], figure)
    title = text(f"{figure.metric} by {figure.by} · {comparison.task}", EDGE, EDGE + 14, class_="title")
    parts = [title, moved(bars, EDGE, EDGE + 30)]
    width, height = bars.width + 2 * EDGE, bars.height + 2 * EDGE + 30
    if found := shown_attention(comparison):
        name, heatmap, image = found
        drawing = draw_attention(heatmap, image)
        parts.append(text(f"attention of {name}", width, EDGE + 14, class_="title"))
        parts.append(moved(drawing, width, EDGE + 30))
        width, height = width + drawing.width + EDGE, max(height, drawing.height + 2 * EDGE + 30)
    return document(
        Drawing(width, height, "".join(parts)), f"{comparison.title}: {figure.metric} by {figure.by}, attention"
    )


def shown_attention(comparison: Comparison) -> tuple[str, HeatMap, Pixels | None] | None:
    """Return the name and heat map of the last system with one in the first example, and the example's image."""
    for example in comparison.examples[:1]:
        for system, heatmap in reversed(list(zip(comparison.systems, example.heatmaps, strict=False))):
            if heatmap:
                return system.name, heatmap, example.image
    return None
