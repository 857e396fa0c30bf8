"""`s2s recipes`: list, show and copy the built-in recipes."""

from pathlib import Path
from typing import Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Force, SetValues
from s2s.report.console import out

app = typer.Typer(help="List, show and copy the built-in recipes.", invoke_without_command=True)


@app.callback()
def recipes(context: typer.Context) -> None:
    """List, show and copy the built-in recipes; without a command, list them."""
    if context.invoked_subcommand is None:
        list_recipes()


@app.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """List the built-in recipes with descriptions.

    Examples:
        s2s recipes list
        s2s recipes list --json
    """
    from s2s.recipe.load import builtin_recipes, load_recipe

    found = {name: load_recipe(name) for name in builtin_recipes()}
    if as_json:
        print_json([{"recipe": name, "name": r.name, "description": r.description} for name, r in found.items()])
        return
    width = max(map(len, found))
    for name, recipe in found.items():
        out.print(f"{name:{width}}  {recipe.description}", soft_wrap=True)
    note("Next: s2s train RECIPE, or s2s recipes copy RECIPE")


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a built-in recipe, or a recipe file.")],
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Print a recipe as TOML, with inherited and default values filled in.

    Examples:
        s2s recipes show numbers/attention
        s2s recipes show numbers/attention --set model.encoder.family=transformer
        s2s recipes show numbers/bottleneck --json
    """
    import tomli_w

    from s2s.recipe.load import recipe_to_keep

    shown = recipe_to_keep(recipe, values or [])
    if as_json:
        print_json(shown)
    else:
        print(tomli_w.dumps(shown), end="")


@app.command()
def copy(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe (see s2s recipes list).")],
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="Directory, or file name ending in .toml.")
    ] = Path(),
    force: Force = False,
) -> None:
    """Copy a recipe, and the recipes it extends, for editing.

    Examples:
        s2s recipes copy numbers/attention
        s2s recipes copy numbers/bottleneck mine --force
    """
    from shlex import quote

    from s2s.io.atomic import write_output

    copies = _copies(recipe, destination)
    for target, content in copies.items():
        _refuse_different(target, content, force)
    for target, content in reversed(copies.items()):  # bases first, so that no copy lacks its base
        write_output(target, content)
        note(f"wrote {target}")
    note(f"Next: s2s train {quote(str(next(iter(copies))))}")


def _copies(recipe: str, destination: Path) -> dict[Path, bytes]:
    """Return the files to write and their contents, the recipe itself first."""
    from s2s.errors import UsageError, wrap_os_errors
    from s2s.recipe.load import builtin_recipes, find_recipe, recipe_files

    files = recipe_files(find_recipe(recipe))
    if recipe not in builtin_recipes():
        raise UsageError(f"{recipe} is not a built-in recipe", "copy the file itself")
    named = destination.suffix == ".toml"
    directory = destination.parent if named else destination
    targets = [directory / file.name for file in files]
    if named:
        targets[0] = destination
    if len(set(targets)) < len(files):
        raise UsageError(f"{destination} is also the name of a file that {recipe} extends", "choose another name")
    contents = {}
    for target, file in zip(targets, files, strict=True):
        with wrap_os_errors(file, "read"):
            contents[target] = file.read_bytes()
    return contents


def _refuse_different(target: Path, content: bytes, force: bool) -> None:
    """Refuse to replace a file, unless it already has this content."""
    from s2s.io.atomic import refuse_existing

    if not (target.is_file() and target.read_bytes() == content):
        refuse_existing(target, force)
