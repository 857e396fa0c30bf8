"""`s2s bench`: measurements that take longer than a comparison."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Device, SetValues, Threads, Wait
from s2s.cli.tables import print_table
from s2s.report.console import out

app = typer.Typer(help="Measure how the loss of models falls as they grow.")


@app.command()
def scaling(
    output: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Directory of the results and the prediction.")
    ] = Path("scaling"),
    values: SetValues = None,
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Fit a scaling law, and test it on a larger model.

    Trains eleven Transformers of 60,000 to 1 million parameters, fits the law
    L = α · Ne^−pe · Nd^−pd + L∞ (Ghorbani et al. 2021) to their losses, predicts
    the loss of one of 2 million parameters, and trains that. All see equally
    many sentences of the recipe scaling/grammar, a task without end and of known
    entropy, each with its own schedule. Decoder-only models of equal FLOPs, and
    other learning rates, are trained for comparison.

    DIR gets runs.json, prediction.json, LADDER.md and ladder.svg. The prediction
    is written once, with its sha256, before its model is trained. Finished models
    are reused and unfinished ones resumed, so an interrupted measurement
    continues. It takes about an hour on two cores.

    Examples:
        s2s bench scaling
    """
    from s2s.comparison.scaling.ladder import LADDER
    from s2s.comparison.scaling.measure import measure
    from s2s.comparison.scaling.report import as_json as figures_as_json
    from s2s.comparison.scaling.report import markdown_scaling, panels, sentences, tables
    from s2s.io.atomic import write_output
    from s2s.io.paths import check_output_directory
    from s2s.report.scaling import svg_scaling

    check_output_directory(output)
    found = measure(output, values or [], device=device, wait=wait, ladder=LADDER)
    if as_json:
        print_json(figures_as_json(found))
    else:
        for table in tables(found):
            out.print(Text(table.title, style="bold"))
            print_table(table.heads, table.rows, table.heads[1:])
            out.print()
        for sentence in sentences(found):
            out.print(Text(sentence))
    write_output(output / "LADDER.md", markdown_scaling(found).encode())
    write_output(output / "ladder.svg", svg_scaling(panels(found)).encode())
    note(f"wrote LADDER.md and ladder.svg in {output}. Next: s2s runs plot {found.outcome.model}")
