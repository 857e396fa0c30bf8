"""`s2s models rm`, `gc` and `verify`: what the registry stores."""

from typing import Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, ModelReference
from s2s.report.format import counted, format_size

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report what would be deleted.")]
DAMAGED = 4  # exit code


def rm(
    model: ModelReference,
    force: Annotated[bool, typer.Option("--force", help="Also drop the aliases of this version.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a version. Its number is never reused.

    Files that no other version uses are deleted too, unless they were written within the last day; a later `rm` or `gc`
    deletes those.

    Examples:
        s2s models rm numbers-attention:1
        s2s models rm numbers-attention@best --force
        s2s models rm numbers-attention:1 --dry-run
    """
    from s2s.errors import S2SError
    from s2s.registry.store import Registry

    registry = Registry.default()
    if dry_run:
        reference = registry.remove(model, force=force, dry_run=True)
        note(f"would remove {reference}")
        try:
            own = registry.own_bytes(registry.resolve(reference))
        except S2SError as error:  # this version or another one cannot be read
            note(f"warning: what that would free is not known: {error.described}")
        else:
            note(f"would free {format_size(own)}; files younger than a day are freed by a later s2s models gc")
        return
    note(f"removed {registry.remove(model, force=force)}")
    try:
        freed = registry.gc()
    except S2SError as error:  # another version cannot be read: files that it uses might be deleted
        note(f"warning: unused files stay, because of another version: {error.described}")
    else:
        note(f"freed {format_size(freed)}; files younger than a day are freed by a later s2s models gc")


def gc(dry_run: DryRun = False) -> None:
    """Delete files that no version uses, unless they were written within the last day.

    Examples:
        s2s models gc
        s2s models gc --dry-run
    """
    from s2s.registry.store import Registry

    freed = Registry.default().gc(dry_run=dry_run)
    note(f"{'would free' if dry_run else 'freed'} {format_size(freed)}")


def verify(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models to verify. Default: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify every file of every version against its digest, and that aliases point to versions.

    Exits with code 4 after naming each damaged file and the versions that use it.

    Examples:
        s2s models verify
        s2s models verify numbers-attention --json
    """
    from s2s.registry.store import Registry
    from s2s.registry.verification import verify as verified

    registry = Registry.default()
    names = models or registry.names()
    found = list(verified(registry, names))
    damaged = [one for one in found if one.problem]
    if as_json:
        print_json([{"name": one.name, "versions": one.users, "problem": one.problem} for one in damaged])
    for one in damaged:
        users = f"; used by {', '.join(one.users)}" if one.users and one.users != [one.name] else ""
        note(f"damaged: {one.problem}{users}")
    size = format_size(sum(one.size for one in found))
    note(f"verified {counted(len(names), 'model')}, {size}: {counted(len(damaged), 'problem')}")
    if damaged:
        raise typer.Exit(DAMAGED)
