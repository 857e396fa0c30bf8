"""`s2s models import`, `push` and `pull`: versions from and to elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, ModelReference
from s2s.report.format import use_command

if TYPE_CHECKING:
    from s2s.registry.version import Version

Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name in this registry. Default: the one that it has.")
]


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE.s2s", help="A bundle that s2s models export wrote.")],
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Publish the version in a bundle as the next version of its model, with its card unchanged.

    Everything is checked before anything is published: exits with code 4 if the bundle is damaged or hostile. A version
    that the registry has, with the same files and card, is not published twice.

    Examples:
        s2s models import numbers-attention.s2s
        s2s models import numbers-attention.s2s --name theirs
    """
    from s2s.registry.bundle import import_bundle
    from s2s.registry.store import Registry

    _report(str(file), *import_bundle(Registry.default(), file, name), as_json)


def pull(
    source: Annotated[str, typer.Argument(metavar="ADDRESS/NAME[:VERSION]", help="A model at an address. See push.")],
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Publish a version from elsewhere as the next version of its model, with its card unchanged.

    It is checked as models import checks a bundle. Without VERSION, the newest one is pulled. A transfer that was
    interrupted goes on where it stopped.

    Examples:
        s2s models pull team/numbers-attention
        s2s models pull team/numbers-attention:2 --name theirs
    """
    from s2s.registry.remote import pull as pulled
    from s2s.registry.store import Registry

    _report(source, *pulled(Registry.default(), source, name), as_json)


def push(
    model: ModelReference,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="A directory or an address that fsspec knows: s3://bucket/models.")
    ],
    as_json: AsJson = False,
) -> None:
    """Store a version elsewhere, where others pull it: in a directory or, with s3fs, gcsfs and so on, in the cloud.

    It keeps its number unless that is taken there; then it gets the one after the highest. Nothing that is there is
    replaced, and a version that is there, with the same files and card, is not stored twice.

    Examples:
        s2s models push numbers-attention team
        s2s models push numbers-attention@best team
    """
    from s2s.registry.remote import Remote
    from s2s.registry.store import Registry

    version, remote = Registry.default().resolve(model), Remote.open(address)
    number, new = remote.push(version)
    there = f"{remote.address}/{version.name}:{number}"
    if as_json:
        print_json({"model": version.name, "version": number, "new": new})
    note(f"{version.reference} is {'now ' if new else 'already '}{there}. Elsewhere: s2s models pull {there}")


def _report(source: str, version: "Version", new: bool, as_json: bool) -> None:
    if as_json:
        print_json({"model": version.name, "version": version.number, "new": new})
    use = use_command(version.reference, of_images=version.card.of_images)
    note(f"{source} is {'now' if new else 'already'} {version.reference}. Next: {use}")
