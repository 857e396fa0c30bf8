"""`s2s models`: the registry's models, and the holders of devices."""

import typer

from s2s.cli.commands.models.aliases import alias, history, rollback
from s2s.cli.commands.models.devices import ps
from s2s.cli.commands.models.difference import diff
from s2s.cli.commands.models.export import export
from s2s.cli.commands.models.listing import list_models, show
from s2s.cli.commands.models.storage import gc, rm, verify

app = typer.Typer(help="List, show, compare, alias, verify, export and remove models; list device leases.")
app.command("list")(list_models)
for command in (show, diff, alias, history, rollback, rm, gc, verify, export, ps):
    app.command()(command)
