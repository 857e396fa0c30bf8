"""`s2s models alias`, `history` and `rollback`: names that move between versions."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, ModelReference
from s2s.cli.tables import print_table
from s2s.report.format import local_time, use_command

if TYPE_CHECKING:
    from s2s.registry.version import Version

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason, kept in the alias's history.")]


def alias(
    model: ModelReference,
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias, such as best.")],
    why: Why = "",
) -> None:
    """Point an alias to a version. MODEL@ALIAS then refers to that version until the alias is moved.

    Examples:
        s2s models alias numbers-attention:1 best
        s2s models alias numbers-attention production --why "two BLEU better on support tickets"
    """
    from s2s.registry.store import Registry

    _note_moved(Registry.default().set_alias(model, name, why=why), name)


def rollback(
    model: Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="The alias to move back.")],
    why: Why = "",
) -> None:
    """Point an alias to the version that it pointed to before. Rolling back twice goes back two moves.

    Versions that were removed are passed over.

    Examples:
        s2s models rollback numbers-attention@production
    """
    from s2s.registry.reference import Reference
    from s2s.registry.store import Registry

    version = Registry.default().roll_back(model, why=why)
    _note_moved(version, Reference.parse(model).alias or "")


def history(
    model: Annotated[str, typer.Argument(metavar="NAME[@ALIAS]", help="An alias, or a model for all its aliases.")],
    as_json: AsJson = False,
) -> None:
    """Show who moved an alias, when, from which version to which, and why.

    Examples:
        s2s models history numbers-attention@production
        s2s models history numbers-attention --json
    """
    from s2s.registry.store import Registry

    found = Registry.default().history(model)
    if as_json:
        print_json({name: [move.model_dump() for move in moves] for name, moves in found.items()})
        return
    rows = [
        [
            local_time(move.time),
            name,
            f"{move.before or '–'} → {move.after or '–'}" + (" (rollback)" if move.rollback else ""),
            move.user,
            move.why,
        ]
        for name, move in sorted(
            ((name, move) for name, moves in found.items() for move in moves), key=lambda pair: pair[1].time
        )
    ]
    if rows:
        print_table(("time", "alias", "version", "user", "why"), rows, keys=2)
    else:
        note(f"{model}: no alias was moved")


def _note_moved(version: "Version", alias: str) -> None:
    use = use_command(f"{version.name}@{alias}", of_images=version.card.of_images)
    note(f"{version.name}@{alias} is {version.reference}. Next: {use}")
