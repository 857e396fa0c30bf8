"""Render a comparison as one self-contained HTML page, in light and dark.

The template escapes all text; drawings are SVG from `svg.py`, which escapes its text too.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from s2s._version import __version__
from s2s.report.figures import COLUMNS, Comparison, Example, headline, signatures, table
from s2s.report.image_maps import data_uri, draw_attention
from s2s.report.marking import marked, printable
from s2s.report.plots import NARROW, WIDTH, color, svg_by_length
from s2s.report.svg import document


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as an HTML page, to be written as UTF-8."""
    environment = Environment(
        loader=PackageLoader("s2s.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["shown"] = printable
    names = [system.name for system in comparison.systems]
    return environment.get_template("comparison.html").render(
        comparison=comparison,
        headline=headline(comparison),
        rows=table(comparison),
        columns=len(names) <= COLUMNS,
        colors=[color(place) for place in range(len(names))],
        plots=[
            (figure, [Markup(svg_by_length(names, figure, width)) for width in (WIDTH, NARROW)])
            for figure in comparison.by_length
        ],
        examples=[_example(comparison, example) for example in comparison.examples],
        signatures=signatures(comparison),
        version=__version__,
    )


def _example(comparison: Comparison, example: Example) -> dict[str, object]:
    """Prepare an example for the template: outputs in marked spans, heat maps as SVG."""
    outputs = [
        (system.name, marked(output, example.reference))
        for system, output in zip(comparison.systems, example.outputs, strict=True)
    ]
    heatmaps = [
        (system.name, Markup(document(draw_attention(heatmap, example.image), "Attention")))
        for system, heatmap in zip(comparison.systems, example.heatmaps, strict=False)
        if heatmap
    ]
    texts = {"title": example.title, "source": example.source, "reference": example.reference}
    image = None if example.image is None else data_uri(example.image)
    return texts | {"outputs": outputs, "heatmaps": heatmaps, "image": image}
