"""`s2s compare`: compare systems on the same test sets."""

from pathlib import Path
from typing import Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Device, Force, SetValues, Threads, Wait
from s2s.report.console import out

DIRECTORY = Path("comparison")


def compare(
    systems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYSTEM...",
            help="Recipes (numbers/* for all of them), models, or stored results (.json).",
            show_default=False,
        ),
    ] = None,
    values: SetValues = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", metavar="KEY=A,B", help="Compare variants of each recipe, one per value of a key (repeatable)."
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            min=1,
            help="Train each recipe with this many seeds, so that intervals also reflect the variance between training "
            "runs.",
        ),
    ] = 1,
    tests: Annotated[
        list[str] | None,
        typer.Option(
            "--test",
            metavar="NAME=SRC:REF",
            help="Test set: two text files (repeatable). Default: the test split of the first system.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--hyp",
            metavar="NAME=FILE",
            help="Another system's output for the test set, one line per source (repeatable).",
        ),
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--scores",
            metavar="METRIC=FILE",
            help="Scores of another metric (repeatable): a tab-separated table with a column for each system, named in "
            "the first row, and a row for each line.",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Directory for page, tables, picture and stored results. Default: comparison, where earlier files of "
            "these names are replaced.",
        ),
    ] = None,
    force: Force = False,
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Train the recipes that have no model yet, translate the test sets with all systems and compare the results.

    The first system is the baseline. Unfinished runs are resumed.

    Examples:
        s2s compare numbers/bottleneck numbers/attention
        s2s compare numbers/bottleneck numbers/attention --seeds 3 --out seeds
        s2s compare numbers/attention --vary model.decoder.context=fixed,attention
        s2s compare numbers-attention numbers-bottleneck --test mine=test.de:test.en
        s2s compare numbers-attention --test mine=test.de:test.en --hyp other=system.en --json
        s2s compare comparison/results/*.json
    """
    from s2s.comparison.compare import compare as run
    from s2s.comparison.entries import Request
    from s2s.comparison.results import as_json as figures_as_json
    from s2s.comparison.results import check_results_directory, write_results
    from s2s.report.terminal import print_comparison

    check_results_directory(directory or DIRECTORY, force or directory is None)
    request = Request(
        names=systems or (),
        overrides=values or (),
        vary=vary or (),
        seeds=seeds,
        tests=tests or (),
        outputs=outputs or (),
        scores=scores or (),
    )
    compared = run(request, device=device, wait=wait)
    page, *_ = write_results(directory or DIRECTORY, compared)  # before printing: the reader may have gone away
    if as_json:
        print_json([figures_as_json(one.comparison) for one in compared])
    else:
        for one in compared:
            print_comparison(one.comparison, out)
    commands = compared[0].comparison.commands
    note(f"wrote {page.parent}/. Next: " + (commands[0] if commands else f"open {page}"))
