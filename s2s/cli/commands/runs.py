"""`s2s runs`: list, show, plot and remove training runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Force
from s2s.cli.tables import one_line, print_table
from s2s.report.console import out

if TYPE_CHECKING:
    from s2s.report.curves import RunCurves

app = typer.Typer(help="List, show, plot and remove runs.")

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="Name or directory of a run, or the name of a model with one run.")
]
COLUMNS = ("run", "model", "state", "updates", "best validation", "began", "size")
NUMBERS = {"updates", "size"}  # columns that are set flush right


@app.command("list")
def list_runs(as_json: AsJson = False) -> None:
    """List the runs, oldest first: progress and best validation.

    Exits with code 4 if a run's directory is damaged or incomplete, after listing the others.

    Examples:
        s2s runs list
        s2s runs list --json
    """
    from s2s.cli.run_format import row, summary_json
    from s2s.errors import S2SError
    from s2s.training.runs.record import read_run, run_directories, runs_directory

    runs, damaged = [], False
    for directory in run_directories():
        try:
            runs.append(read_run(directory))
        except S2SError as error:
            damaged = True
            note(f"warning: {error.described}")
    runs.sort(key=lambda run: run.record.created)
    if as_json:
        print_json([summary_json(run) for run in runs])
    elif runs:
        _print_runs(list(map(row, runs)))
        note("Next: s2s runs show RUN, s2s runs plot RUN")
    elif not damaged:
        note(f"no runs in {runs_directory()}. Next: s2s train numbers/attention")
    if damaged:
        raise typer.Exit(4)


@app.command()
def show(run: RunName, as_json: AsJson = False) -> None:
    """Show a run: progress, latest and best metrics, and where its files are.

    Examples:
        s2s runs show numbers-attention-1a2b3c4d
        s2s runs show numbers-attention-1a2b3c4d --json
    """
    from s2s.cli.run_format import describe_run, next_command, run_json
    from s2s.training.runs.record import find_run, read_run

    found = read_run(find_run(run))
    if as_json:
        print_json(run_json(found))
        return
    out.print(found.name, style="bold", soft_wrap=True)
    for label, text in describe_run(found):
        if text:
            out.print(f"  {label:11} {one_line(text)}", soft_wrap=True)
    note(f"Next: {next_command(found)}")


@app.command()
def plot(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs, by name or directory, drawn in the same axes.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.svg", help="Also write the plot as SVG.")
    ] = None,
    force: Force = False,
) -> None:
    """Plot training loss, validation loss, validation BLEU and, if recorded, chrF over updates.

    Training loss includes dropout and label smoothing; validation loss does not.

    Examples:
        s2s runs plot numbers-attention-1a2b3c4d
        s2s runs plot numbers-attention-1a2b3c4d numbers-bottleneck-5e6f7a8b -o curves.svg
    """
    from s2s.errors import UsageError
    from s2s.io.atomic import refuse_existing, write_output
    from s2s.report.curves import svg_curves, terminal_curves

    if output:
        if output.suffix != ".svg":
            raise UsageError(f"cannot write {output}: plots are written as SVG", "give a name that ends in .svg")
        refuse_existing(output, force)
    curves = _curves(runs)
    out.print(terminal_curves(curves))
    if output:
        write_output(output, svg_curves(curves).encode())
        note(f"wrote {output}")


@app.command()
def rm(
    run: RunName,
    force: Annotated[bool, typer.Option("--force", help="Remove the run even if it is unfinished or damaged.")] = False,
) -> None:
    """Remove a run's directory: checkpoints, log and metrics. Its published model stays in the registry.

    Examples:
        s2s runs rm numbers-bottleneck-5e6f7a8b
        s2s runs rm numbers-attention-1a2b3c4d --force
    """
    from s2s.report.format import format_size
    from s2s.training.runs.removal import remove_run

    directory, freed = remove_run(run, force=force)
    note(f"removed {directory}, freed {format_size(freed)}. Next: s2s runs list")


def _print_runs(rows: Sequence[Sequence[str]]) -> None:
    """Print a table; on a terminal that is too narrow, print three lines per run, so that its name stays whole."""
    needed = sum(max(map(len, column)) + 2 for column in zip(COLUMNS, *rows, strict=True))
    if not out.is_terminal or needed <= out.width:
        print_table(COLUMNS, rows, NUMBERS)
        return
    for run, model, state, updates, best, began, size in ([one_line(cell) for cell in cells] for cells in rows):
        out.print(run, style="bold", soft_wrap=True)
        out.print(f"  {state}; {updates} updates; best {best}")
        out.print(f"  model {model}; began {began}; {size}")


def _curves(names: Sequence[str]) -> list["RunCurves"]:
    """Read the curves of runs; warn about and leave out those that have nothing to draw yet.

    Raises: UsageError where none has.
    """
    from s2s.errors import UsageError
    from s2s.report.curves import RunCurves
    from s2s.training.runs.record import find_run, read_run, series

    found = []
    for run in (read_run(find_run(name)) for name in dict.fromkeys(names)):
        training, validation = run.metrics.training, run.metrics.validation
        scores = (series(validation, key) for key in ("loss", "bleu", "chrf"))
        curves = RunCurves(run.name, series(training, "loss"), *scores)
        if any((curves.training_loss, curves.validation_loss, curves.bleu, curves.chrf)):
            found.append(curves)
        else:
            note(f"warning: run {run.name} has recorded no figures yet")
    if not found:
        raise UsageError(
            "there is nothing to plot",
            "figures are recorded every training.log_every updates (50 by default) and at each validation",
        )
    return found
