"""`s2s models diff`: how two versions differ."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson
from s2s.cli.tables import print_table
from s2s.report.format import duration, format_size, local_time

if TYPE_CHECKING:
    from s2s.registry.version import Version

Side = Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME:VERSION or NAME@ALIAS in the registry.")]


def diff(first: Side, second: Side, as_json: AsJson = False) -> None:
    """Show how two versions differ: recipe, data, sizes, training and scores.

    Examples:
        s2s models diff numbers-attention:1 numbers-attention:2
        s2s models diff numbers-attention@production numbers-attention --json
    """
    from s2s.registry.store import Registry

    one, other = (Registry.default().resolve(reference) for reference in (first, second))
    left, right = _values(one), _values(other)
    keys = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
    if as_json:
        print_json(
            {
                "models": [one.reference, other.reference],
                "differences": {key: [left.get(key), right.get(key)] for key in keys},
            }
        )
        return
    if not keys:
        note(f"{one.reference} and {other.reference} are the same")
        return
    rows = [[key, _shown(key, left.get(key)), _shown(key, right.get(key))] for key in keys]
    print_table(("", one.reference, other.reference), rows)


def _values(version: "Version") -> dict[str, Any]:
    """Return what two versions can differ in, by name, in the order of the table."""
    from s2s.comparison.differences import IGNORED
    from s2s.recipe.flat import flattened

    card, training = version.card, version.card.training
    recipe = {key: value for key, value in flattened(card.recipe).items() if key not in IGNORED}
    scores = {f"{score.metric} ({score.test_set})": round(score.value, 2) for score in card.scores}
    return {
        **scores,
        "parameters": card.parameters,
        "memory": card.memory_bytes,
        "corpus": card.corpus,
        "training pairs": card.pairs.get("train"),
        "parent": card.parent,
        "published": version.published,
        "updates": training.updates,
        "training time": training.seconds,
        "device": training.device,
        "precision": training.precision,
        **{f"{name} version": number for name, number in card.versions.items()},
        **recipe,
    }


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if key in FORMATS:
        return FORMATS[key](value)
    return f"{value:,}" if type(value) is int else str(value)


FORMATS: dict[str, Callable[[Any], str]] = {
    "memory": format_size,
    "corpus": lambda digest: digest[:12],
    "published": local_time,
    "training time": duration,
}
