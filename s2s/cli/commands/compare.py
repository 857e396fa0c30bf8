"""`s2s compare`: compare systems on one test set."""

from pathlib import Path
from typing import Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Device, Force, SetValues, Threads, Wait
from s2s.report.console import out


def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="SYSTEM...", help="Recipes (numbers/* for all of them), models, or stored results (.json)."
        ),
    ],
    values: SetValues = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE", help="HTML page to write. Default: report.html, replaced if it exists."
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help="Write the table as Markdown, and each system's stored result into results/ beside it.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Write a plot and an attention heat map as SVG."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", metavar="KEY=A,B", help="Compare variants of each recipe, one per value of a key (repeatable)."
        ),
    ] = None,
    test: Annotated[
        str,
        typer.Option(
            "--test", metavar="NAME=SRC:REF", help="Test set: two text files. Default: that of the first system."
        ),
    ] = "",
    force: Force = False,
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Train recipes without a model, translate one test set with all systems and compare the results.

    The first system is the baseline. Unfinished runs are resumed.

    Examples:
        s2s compare numbers/bottleneck numbers/attention
        s2s compare multi30k/bottleneck multi30k/attention --set data.root=multi30k --results RESULTS.md
        s2s compare numbers/attention --vary model.decoder.context=fixed,attention
        s2s compare numbers-attention numbers-bottleneck --test mine=test.de:test.en
        s2s compare numbers-attention:1 numbers-attention:2 --json
    """
    from s2s.comparison.compare import compare as run
    from s2s.comparison.results import as_json as figures_as_json
    from s2s.comparison.results import write_results
    from s2s.io.atomic import refuse_existing, write_output
    from s2s.report.page import comparison_page
    from s2s.report.picture import svg_picture
    from s2s.report.terminal import print_comparison

    for output in (report, results, picture):
        if output:
            refuse_existing(output, force)
    comparison, stored = run(systems, values or [], device=device, wait=wait, vary=vary or [], test_files=test)
    if as_json:
        print_json(figures_as_json(comparison))
    else:
        print_comparison(comparison, out)
    page = report or Path("report.html")
    write_output(page, comparison_page(comparison).encode())
    written = [page]
    if results:
        written += write_results(results, comparison, stored)
    if picture:
        write_output(picture, svg_picture(comparison).encode())
        written.append(picture)
    note(f"wrote {', '.join(map(str, written))}. Next: {comparison.commands[0]}")
