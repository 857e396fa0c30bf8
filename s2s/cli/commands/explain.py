"""`s2s explain`: describe the keys of a recipe."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import print_json
from s2s.cli.options import AsJson
from s2s.report.console import out

if TYPE_CHECKING:
    from s2s.recipe.explain import Key


def explain(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A key, a table or the last part of a key. Default: all keys.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Describe the keys of a recipe: allowed values, default and meaning.

    The keys of data depend on its kind, those of model.encoder and model.decoder on
    their family.

    Examples:
        s2s explain
        s2s explain training
        s2s explain model.encoder
        s2s explain model.decoder.context
        s2s explain lr --json
    """
    from dataclasses import asdict

    from s2s.recipe.explain import EXTENDS, keys_named, recipe_keys

    keys = keys_named(key) if key else [EXTENDS, *recipe_keys()]
    if as_json:
        print_json([asdict(found) for found in keys])
    else:
        _show(keys)


def _show(keys: "list[Key]") -> None:
    """Print the keys, grouped by table."""
    from textwrap import fill

    from rich.text import Text

    from s2s.recipe.explain import section_titles

    titles = section_titles()
    section = None
    for key in keys:
        if key.section != section:
            section = key.section
            out.print(
                Text(f"{section or 'recipe'}: {titles[section]}".removesuffix(": "), style="underline"), soft_wrap=True
            )
            out.print()
        line = Text.assemble((key.key, "bold"), f" = {_default(key)}", (f"   {key.values}", "dim"))
        out.print(line, soft_wrap=True)
        out.print(
            fill(key.description, width=out.width, initial_indent="    ", subsequent_indent="    ") + "\n",
            soft_wrap=True,
        )


def _default(key: "Key") -> str:
    """Format a key's default as TOML."""
    import json

    if key.required:
        return "… (required)"
    return "(not set)" if key.default is None else json.dumps(key.default, ensure_ascii=False)
