"""Render comparisons as one self-contained HTML page, in light and dark.

The template escapes all text; drawings are SVG from `svg.py`, which escapes its text too.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from s2s._version import __version__
from s2s.metrics.scores import texts_of
from s2s.report.figures import COLUMNS, Comparison, Example, headline, signatures, table
from s2s.report.image_maps import data_uri, draw_attention
from s2s.report.marking import marked, nearest, printable
from s2s.report.plots import NARROW, WIDTH, color, svg_breakdown
from s2s.report.svg import document

PICTURES = 8  # beside each other, of all systems


def comparison_page(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons of the same systems on different test sets as an HTML page, to be written as UTF-8."""
    environment = Environment(
        loader=PackageLoader("s2s.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["shown"] = printable
    tests = [_test(comparison) for comparison in comparisons]
    return environment.get_template("comparison.html").render(
        title=comparisons[0].title,
        tests=tests,
        labels={row.label for test in tests for row in test["rows"]},
        of_images=any(example.image is not None for one in comparisons for example in one.examples),
        signatures=list(dict.fromkeys(text for comparison in comparisons for text in signatures(comparison))),
        commands=comparisons[0].commands,
        version=__version__,
    )


def _test(comparison: Comparison) -> dict[str, Any]:
    """Prepare the comparison on one test set for the template."""
    names = [system.name for system in comparison.systems]
    return {
        "comparison": comparison,
        "headline": headline(comparison),
        "rows": table(comparison),
        "columns": len(names) <= COLUMNS,
        "colors": [color(place) for place in range(len(names))],
        "plots": [
            (figure, [Markup(svg_breakdown(names, figure, width)) for width in (WIDTH, NARROW)])
            for figure in comparison.breakdowns
        ],
        "examples": [_example(comparison, example) for example in comparison.examples],
    }


def _example(comparison: Comparison, example: Example) -> dict[str, object]:
    """Prepare an example for the template: for each system, its output in marked spans and its attention as SVG.

    An output is marked where it differs from the nearest of several references.
    """
    references = texts_of(example.reference)
    across = max(2, PICTURES // len(comparison.systems))
    systems = [
        {
            "name": system.name,
            "spans": marked(output, nearest(output, references)),
            "attention": heatmap
            and Markup(document(draw_attention(heatmap, example.image, across), f"Attention of {system.name}")),
        }
        for system, output, heatmap in zip_longest(comparison.systems, example.outputs, example.heatmaps)
    ]
    return {
        "title": example.title,
        "source": example.source,
        "references": references,
        "systems": systems,
        "image": None if example.image is None else data_uri(example.image),
    }
