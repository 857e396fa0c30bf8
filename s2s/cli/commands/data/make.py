"""`s2s data make`: generate sentence pairs and pictures."""

from pathlib import Path
from shlex import quote
from typing import Annotated, BinaryIO, cast

import typer

from s2s.cli.console import note
from s2s.cli.options import Force, Output

make = typer.Typer(help="Generate sentence pairs from a seed.")
Items = typer.Option(min=1, max=1000, help="Minimum and maximum number of items (numbers or dates) per sentence.")


@make.command()
def scenes(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="New directory of the pictures.")],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of pictures.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pictures.")] = 1,
    min_items: Annotated[int, typer.Option(min=1, max=9, help="Minimum number of shapes in a picture.")] = 1,
    max_items: Annotated[int, typer.Option(min=1, max=9, help="Maximum number of shapes in a picture.")] = 6,
) -> None:
    """Generate pictures of coloured shapes as PNG files, with their captions in captions.tsv.

    The seed is independent of the recipes'.

    Examples:
        s2s data make scenes pictures
        s2s data make scenes pictures --count 1000 --min-items 6
    """
    from PIL import Image

    from s2s.data.generators.scenes import draw_scene, scenes_pairs
    from s2s.errors import UsageError
    from s2s.io.atomic import atomic_directory
    from s2s.recipe.kinds import GeneratorOptions

    if min_items > max_items:
        raise UsageError(f"--min-items {min_items} is larger than --max-items {max_items}")
    if directory.exists():
        raise UsageError(f"{directory} exists", "name a new directory")
    options = GeneratorOptions(
        name="scenes", seed=seed, train=count, validation=1, test=1, min_items=min_items, max_items=max_items
    )
    names = [f"{number:0{len(str(count))}}.png" for number in range(1, count + 1)]
    pairs = scenes_pairs(options)["train"]
    with atomic_directory(directory) as new:
        for name, (scene, _) in zip(names, pairs, strict=True):
            Image.fromarray(draw_scene(scene)).save(new / name)
        lines = [f"{name}\t{caption}\n" for name, (_, caption) in zip(names, pairs, strict=True)]
        (new / "captions.tsv").write_text("".join(lines))
    note(f"wrote {directory}: {count:,} pictures and captions.tsv")
    note(f"Next: s2s caption MODEL {quote(str(directory))}")


@make.command()
def numbers(
    count: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pairs.")] = 1,
    min_items: Annotated[int, Items] = 1,
    max_items: Annotated[int, Items] = 3,
    source_only: Annotated[bool, typer.Option("--source-only", help="Print the German side only.")] = False,
    output: Output = "-",
    force: Force = False,
) -> None:
    """Generate German–English pairs of numbers in words and dates, as TSV.

    The seed is independent of the recipes'. Short sentences may repeat.

    Examples:
        s2s data make numbers --count 5
        s2s data make numbers --count 100 --min-items 8 --max-items 8 --source-only -o long.de
    """
    from itertools import islice

    from s2s.cli.output import open_output
    from s2s.data.generators.numbers import numbers_stream
    from s2s.errors import UsageError

    if min_items > max_items:
        raise UsageError(f"--min-items {min_items} is larger than --max-items {max_items}")
    with open_output(output, [], force) as file:
        for source, target in islice(numbers_stream(seed, min_items, max_items), count):
            cast(BinaryIO, file).write((source if source_only else f"{source}\t{target}").encode() + b"\n")
    if output != "-":
        note(f"wrote {output}: {count:,} lines")
        as_training = 'a recipe with data.kind = "tsv"; see s2s explain data'
        note(f"Next: {f's2s translate MODEL {quote(output)}' if source_only else as_training}")
