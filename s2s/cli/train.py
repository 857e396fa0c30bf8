"""`s2s train`: from a recipe to a published model."""

from typing import Annotated

import typer

from s2s.cli.console import err, note
from s2s.cli.options import Device, SetValues, Wait


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe's name, or a file.")],
    values: SetValues = None,
    name: Annotated[str | None, typer.Option("--name", help="Publish under this name instead of the recipe's.")] = None,
    device: Device = "auto",
    wait: Wait = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train anew, even where this recipe is trained already.")
    ] = False,
) -> None:
    """Train a recipe: tokenizer, corpus, training, validation, test, publication. What is there already is used.

    Examples:
        s2s train numbers/attention
        s2s train numbers/attention --set training.lr=2e-3 --name numbers-slow
        s2s train multi30k/attention --set data.root=multi30k
    """
    from s2s.recipe.loading import load_recipe
    from s2s.training.run import train as run

    named = [f'name="{name}"'] if name else []
    version = run(
        load_recipe(recipe, [*(values or []), *named]), device=device, wait=wait, fresh=fresh, console=err, notify=note
    )
    note(f"model {version.reference}. Next: s2s translate {version.name}, s2s models show {version.name}")
