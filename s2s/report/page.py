"""Render comparisons as one self-contained HTML page, in light and dark.

The template escapes all text; drawings are SVG from `svg.py`, which escapes its text too.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import groupby, zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from s2s.devices.runtime import package_versions
from s2s.metrics.breakdown import Breakdown
from s2s.metrics.scores import SCORE_NAMES, texts_of
from s2s.report.figures import Comparison, Example, HeatMap, Pixels
from s2s.report.image_maps import data_uri, describe_attention, draw_attention
from s2s.report.marking import marked, nearest, printable
from s2s.report.plots import NARROW, WIDTH, color, format_values, svg_breakdown
from s2s.report.svg import document
from s2s.report.table import COLUMNS, Row, headline, signatures, table

OPEN = 3  # examples that are shown; those after them are folded
ACROSS = 3  # pictures in a row, which fit a telephone
WIDEST = 7  # figures in a row of a table
NUMBER = re.compile(r"[\d+−±–]|p [<=]")  # beginning of a cell that is a number, or of one without a value


def comparison_page(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons of the same systems on different test sets as an HTML page, to be written as UTF-8."""
    loader = PackageLoader("s2s.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    tests = [_test(comparison) for comparison in comparisons]
    systems = list({system.name: system for one in comparisons for system in one.systems}.values())
    versions = package_versions()
    demo = next((one.demo for one in comparisons if one.demo), None)
    script = Markup(loader.get_source(environment, "recall_demo.js")[0] if demo else "")
    return environment.get_template("comparison.html").render(
        title=comparisons[0].title,
        tests=tests,
        systems=systems,
        places={system.name: place for place, system in enumerate(systems, start=1)},
        labels={row.label for test in tests for group in test["groups"] for row in group["rows"]},
        of_images=any(example.image is not None for one in comparisons for example in one.examples),
        signatures=list(dict.fromkeys(text for comparison in comparisons for text in signatures(comparison))),
        commands=comparisons[0].commands,
        demo=demo and asdict(demo),
        demo_script=script,
        demo_digest=f"sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}",
        open=OPEN,
        version=versions["s2s"],
        commit=versions.get("commit"),
    )


def _shown(value: object) -> object:
    """Return text without control characters, and anything else as it is."""
    return printable(value) if type(value) is str else value


def _test(comparison: Comparison) -> dict[str, Any]:
    """Prepare the comparison on one test set for the template."""
    names = [system.name for system in comparison.systems]
    name, _, facts = comparison.task.partition(" · ")
    return {
        "comparison": comparison,
        "name": name,
        "facts": facts,
        "headline": headline(comparison),
        "metric": SCORE_NAMES[comparison.metric],
        "groups": [_group(group, list(rows)) for group, rows in groupby(table(comparison), key=lambda row: row.group)],
        "columns": len(names) <= COLUMNS,
        "colors": dict(zip(names, map(color, range(len(names))), strict=True)),
        "plots": [_plot(comparison, figure) for figure in comparison.breakdowns],
        "ngram_systems": comparison.ngrams[0].systems if comparison.ngrams else (),
        "examples": [_example(comparison, example) for example in comparison.examples],
    }


def _group(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Prepare rows of a group: also in parts that fit a line, and the labels of those that are text."""
    count = -(-len(rows) // WIDEST)
    size = -(-len(rows) // count)
    return {
        "name": name,
        "rows": rows,
        "parts": [rows[start : start + size] for start in range(0, len(rows), size)],
        "texts": {row.label for row in rows if not all(NUMBER.match(cell.text) for cell in row.cells)},
    }


def _plot(comparison: Comparison, figure: Breakdown) -> dict[str, Any]:
    """Prepare a plot for the template: drawn wide if it is by the first property, narrow, and as a table."""
    names = [system.name for system in comparison.systems]
    wide = figure.by == comparison.breakdowns[0].by
    sizes = (False, True) if wide else (True,)
    lines = [[figure.unit or figure.by, figure.counted, *names]]
    lines += [[bucket.label, f"{bucket.count:,}", *format_values(bucket)] for bucket in figure.buckets]
    heads, *rows = lines if len(names) <= COLUMNS else zip(*lines, strict=True)
    return {
        "title": f"{figure.metric} by {figure.by}",
        "wide": wide,
        "drawings": [Markup(svg_breakdown(names, figure, narrow=narrow)) for narrow in sizes],
        "with_intervals": any(bucket.intervals for bucket in figure.buckets),
        "heads": heads,
        "rows": rows,
    }


def _example(comparison: Comparison, example: Example) -> dict[str, object]:
    """Prepare an example for the template: for each system, its output in marked spans and its attention as SVG.

    An output is marked where it differs from the nearest of several references.
    """
    references = texts_of(example.reference)
    systems = [
        {
            "name": system.name,
            "spans": marked(output, nearest(output, references)),
            "attention": _attention(system.name, heatmap, example.image) if heatmap else [],
        }
        for system, output, heatmap in zip_longest(comparison.systems, example.outputs, example.heatmaps)
    ]
    return {
        "title": example.title[:1].upper() + example.title[1:],
        "source": example.source,
        "references": references,
        "systems": systems,
        "image": None if example.image is None else data_uri(example.image),
    }


def _attention(name: str, heatmap: HeatMap, image: Pixels | None) -> list[Markup]:
    """Return the attention of a system as SVG; if it does not fit a telephone, once more for one."""
    widths = (WIDTH, NARROW) if image is None else (WIDTH,)
    drawings = [draw_attention(heatmap, image, ACROSS, width) for width in widths]
    shown = drawings if drawings[0].width > NARROW else drawings[:1]
    description = describe_attention(heatmap)
    return [Markup(document(drawing, f"Attention of {name}", description)) for drawing in shown]
