"""`s2s data corrupt`: parallel text with known faults."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note
from s2s.cli.options import SetValues

if TYPE_CHECKING:
    from s2s.text.lines import Texts

Faults = Annotated[
    list[str],
    typer.Option(
        "--fault",
        metavar="NAME=SHARE%",
        help="Fault and share of lines (repeatable): shifted, shuffled, swapped (in blocks); wrong_language, "
        "untranslated, truncated, mojibake, lost_placeholders (single lines).",
    ),
]


def corrupt(
    faults: Faults,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIRECTORY", help="New directory of the two files and faults.jsonl."),
    ],
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Recipe whose training pairs are taken as they are read.")
    ] = "",
    values: SetValues = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Source sentences, one per line.")] = None,
    target: Annotated[Path | None, typer.Option(metavar="FILE", help="Target sentences, aligned line by line.")] = None,
    other: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text in another language, for wrong_language: one sentence per line."),
    ] = None,
    block_lines: Annotated[
        int, typer.Option(min=2, help="Lines of a block of shifted, shuffled or swapped lines.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of lines.")] = 1,
) -> None:
    """Inject known faults into parallel text, to measure what notices them.

    Takes two files, or the training pairs of a recipe. Writes the two sides,
    and faults.jsonl with the lines of each fault. A line has at most one fault.

    Examples:
        s2s data corrupt --source train.de --target train.en --fault shifted=10% --fault mojibake=1% -o corrupted
        s2s data corrupt numbers/attention --fault untranslated=5% -o corrupted
    """
    from dataclasses import asdict
    from shlex import join

    from s2s.data.corruption import Corruption, parse_fault
    from s2s.errors import UsageError
    from s2s.io.atomic import atomic_directory
    from s2s.io.json_values import format_json

    try:
        shares = dict(map(parse_fault, faults))
    except ValueError as error:
        raise UsageError(f"--fault {error}") from error
    if len(shares) < len(faults):
        raise UsageError("two --fault of one kind", "give one share for each kind")
    if recipe and (source or target):
        raise UsageError("a recipe has its own text", "leave out --source and --target, or RECIPE")
    if values and not recipe:
        raise UsageError("--set changes a recipe, and none is named", "name a RECIPE, or leave out --set")
    if "wrong_language" in shares and other is None:
        raise UsageError("--fault wrong_language needs text in another language", "name a file with --other")
    if output.exists():
        raise UsageError(f"{output} exists", "name a new directory")
    pairs, names = _recipe_pairs(recipe, values or []) if recipe else _file_pairs(source, target)
    others = [text for text, _ in _file_pairs(other, other)[0]] if other else []
    text = Corruption(*zip(*pairs, strict=True), seed=seed, block_lines=block_lines)
    counts = {kind: text.inject(kind, share, others) for kind, share in shares.items()}
    with atomic_directory(output) as new:
        for name, lines in zip(names, (text.sources, text.targets), strict=True):
            (new / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
        found = ({key: value for key, value in asdict(fault).items() if value is not None} for fault in text.faults)
        (new / "faults.jsonl").write_text("".join(f"{format_json(fault)}\n" for fault in found))
    for kind, count in counts.items():
        note(f"{kind}: {count:,} of {len(pairs):,} lines")
    note(f"wrote {output}: {names[0]}, {names[1]} and faults.jsonl")
    files = [str(output / name) for name in names]
    note(f"Next: {join(['s2s', 'init', '--source', files[0], '--target', files[1]])}")


def _file_pairs(source: Path | None, target: Path | None) -> "tuple[list[Texts], tuple[str, str]]":
    """Read two files; return their pairs and names for the two sides of a copy. Raises UsageError, DataError."""
    from s2s.errors import DataError, UsageError
    from s2s.io.compression import without_suffix
    from s2s.text.parallel import read_pairs

    if source is None or target is None:
        raise UsageError("no text named", "name a recipe, or two files with --source and --target")
    pairs = [pair for group in read_pairs(str(source), str(target)) for pair in group]
    if not pairs:
        raise DataError(f"{source} has no lines")
    names = without_suffix(source.name), without_suffix(target.name)
    return pairs, names if names[0] != names[1] else (f"source-{names[0]}", f"target-{names[1]}")


def _recipe_pairs(name: str, values: list[str]) -> "tuple[list[Texts], tuple[str, str]]":
    """Read the training pairs of a recipe; return them and names for the two sides. Raises UsageError, DataError."""
    from s2s.data.readers import read_split
    from s2s.errors import DataError, UsageError
    from s2s.recipe.load import load_recipe

    data = load_recipe(name, values).data
    if data.image_size:
        raise UsageError(f"recipe {name}: its sources are images", "name a recipe of text")
    languages = data.source_language or "source", data.target_language or "target"
    names = [f"train.{language}" for language in (languages if languages[0] != languages[1] else ("source", "target"))]
    pairs = [(pair.source, pair.target) for pair in read_split(data, "train")]
    if not pairs:
        raise DataError(f"recipe {name} has no training pairs")
    return pairs, (names[0], names[1])
