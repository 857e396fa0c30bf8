"""`s2s data`: prepare corpora, look into one, list and remove them; make sentence pairs."""

import typer

from s2s.cli.commands.data.corrupt import corrupt
from s2s.cli.commands.data.examine import export, why
from s2s.cli.commands.data.listing import list_corpora, rm
from s2s.cli.commands.data.make import make
from s2s.cli.commands.data.prepare import inspect, prepare

app = typer.Typer(help="Prepare, inspect, export, list and remove corpora; generate and corrupt sentence pairs.")
for command in (prepare, inspect, why, export):
    app.command()(command)
app.command("list")(list_corpora)
app.command()(rm)
app.add_typer(make, name="make")
app.command()(corrupt)
