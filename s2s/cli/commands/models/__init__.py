"""`s2s models`: the registry's models, the holders of devices, and the models that a server holds."""

import typer

from s2s.cli.commands.models.aliases import alias, history, rollback
from s2s.cli.commands.models.devices import ps
from s2s.cli.commands.models.difference import diff
from s2s.cli.commands.models.export import export
from s2s.cli.commands.models.listing import list_models, show
from s2s.cli.commands.models.resident import load, pin, stop
from s2s.cli.commands.models.shadow import shadow
from s2s.cli.commands.models.storage import gc, rm, verify
from s2s.cli.commands.models.transfer import import_model, pull, push

app = typer.Typer(
    help="List, show, compare, alias, verify, export, import and remove models; see and load those in use."
)
app.command("list")(list_models)
for command in (show, diff, alias, history, rollback, rm, gc, verify, export):
    app.command()(command)
app.command("import")(import_model)
app.command()(push)
app.command()(pull)
app.command()(ps)
app.command()(load)
app.command()(stop)
app.command()(pin)
app.command()(shadow)
