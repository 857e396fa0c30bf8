"""`s2s data`: prepare corpora, look into one, list and remove them; make sentence pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, cast

import typer

from s2s.cli.console import note, print_json, show_log
from s2s.cli.options import AsJson, Force, Output, SetValues
from s2s.cli.tables import print_table
from s2s.report.console import escape_control, out
from s2s.report.format import format_size

if TYPE_CHECKING:
    from s2s.data.corpus import Corpus
    from s2s.data.ledger import SplitLedger, Tally

app = typer.Typer(help="Prepare, inspect, list and remove corpora; generate sentence pairs.")
make = typer.Typer(help="Generate sentence pairs from a seed.")
app.add_typer(make, name="make")

OnInvalid = Annotated[
    Literal["refuse", "drop"] | None,
    typer.Option("--on-invalid", help="Invalid UTF-8: refuse the file or drop the pair. Default: the recipe's."),
]
Items = typer.Option(min=1, max=1000, help="Minimum and maximum number of items (numbers or dates) per sentence.")


@app.command()
def prepare(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a built-in recipe, or a recipe file.")],
    values: SetValues = None,
    on_invalid: OnInvalid = None,
) -> None:
    """Read, filter and tokenize the data of a recipe. `s2s train` does this if necessary.

    Examples:
        s2s data prepare numbers/attention
        s2s data prepare multi30k/attention --set data.root=multi30k --on-invalid drop
    """
    from shlex import join

    from s2s.data.prepare import prepare_corpus
    from s2s.recipe.load import load_recipe

    invalid = [f"data.on_invalid={on_invalid}"] if on_invalid else []
    overrides = [*(values or []), *invalid]
    options = load_recipe(recipe, overrides)
    corpus = prepare_corpus(options.data, options.tokenizer)
    kept = ", ".join(f"{name} {split.kept:,}" for name, split in corpus.ledger.splits.items())
    note(f"corpus {corpus.path}: {kept} pairs")
    arguments = join([recipe, *(part for value in overrides for part in ("--set", value))])
    note(f"Next: s2s data inspect {arguments}, s2s train {arguments}")


@app.command()
def inspect(
    corpus: Annotated[
        str, typer.Argument(metavar="RECIPE|DIRECTORY", help="A recipe, or the directory of a prepared corpus.")
    ],
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Show a corpus: pairs kept and dropped, lengths, test sources that also occur in training.

    Of each filter: the pairs it dropped after those before it, and those it would
    drop alone. The checksums of its files are verified. The corpus of a recipe is prepared if it does not exist.

    Examples:
        s2s data inspect numbers/attention
        s2s data inspect numbers/attention --json
    """
    found = _open_corpus(corpus, values or [])
    found.verify()
    if as_json:
        print_json({"path": str(found.path), "digest": found.digest, **found.ledger.as_dict()})
        return
    ledger = found.ledger
    out.print(f"corpus {found.path}\ndigest {found.digest}", soft_wrap=True)
    out.print(f"tokens {ledger.tokenizer.tokens:,}\n", soft_wrap=True)
    if ledger.image_size:
        height, width, features = ledger.image_size
        what = f"features of {height} × {width} × {features}" if features else f"images of {height} × {width} pixels"
        out.print(f"{what}\n", soft_wrap=True)
    _print_lengths(ledger.splits, of_images=ledger.image_size is not None)
    out.print()
    for name, split in ledger.splits.items():
        _show_split(name, split)


@app.command("list")
def list_corpora(as_json: AsJson = False) -> None:
    """List the prepared corpora, with the models of the registry that were trained on each.

    Exits with code 4 if a corpus is damaged, after listing the others.

    Examples:
        s2s data list
        s2s data list --json
    """
    from s2s.data.corpora import corpora_directory, corpus_directories
    from s2s.data.corpus import Corpus
    from s2s.errors import S2SError
    from s2s.io.paths import directory_size
    from s2s.registry.store import Registry

    show_log()
    registry, found, failed = Registry.default(), list[Corpus](), 0
    for directory in corpus_directories():
        try:
            found.append(Corpus.open(directory))
        except S2SError as error:
            failed = 4
            note(f"warning: {error.described}")
    models: dict[str, list[str]] = {}
    for version in (one for name in registry.names() for one in registry.readable_versions(name)):
        models.setdefault(version.card.corpus, []).append(version.reference)
    listed: list[dict[str, Any]] = [
        {
            "corpus": corpus.path.name,
            "kind": _kind(corpus),
            **{name: split.kept for name, split in corpus.ledger.splits.items()},
            "tokens": corpus.ledger.tokenizer.tokens,
            "size": directory_size(corpus.path),
            "models": models.get(corpus.digest, []),
        }
        for corpus in found
    ]
    if as_json:
        print_json(listed)
    elif listed:
        columns = [*listed[0]]
        rows = [[format_size(value) if key == "size" else _cell(value) for key, value in one.items()] for one in listed]
        print_table(columns, rows, set(columns) - {"corpus", "kind", "models"}, details="models")
    elif not failed:
        note(f"no corpora in {corpora_directory()}. Next: s2s data prepare numbers/attention")
    if failed:
        raise typer.Exit(failed)


@app.command()
def rm(corpora: Annotated[list[str], typer.Argument(metavar="CORPUS...", help="Names, or how they begin.")]) -> None:
    """Remove corpora. `s2s train` and `s2s compare` prepare one again when they need it and its inputs are still there.

    Examples:
        s2s data rm 3f2a
    """
    from s2s.data.corpora import remove_corpus

    for name in corpora:
        directory, freed = remove_corpus(name)
        note(f"removed {directory}: freed {format_size(freed)}")


def _kind(corpus: "Corpus") -> str:
    size = corpus.ledger.image_size
    return ("features" if size.features else "images") if size else "text"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _open_corpus(corpus: str, values: list[str]) -> "Corpus":
    from s2s.data.corpus import MANIFEST, Corpus
    from s2s.data.prepare import prepare_corpus
    from s2s.errors import UsageError
    from s2s.recipe.load import load_recipe

    if Path(corpus).is_dir():
        if not (Path(corpus) / MANIFEST).is_file():
            raise UsageError(
                f"{corpus} is not the directory of a corpus",
                "name a recipe, or a directory that s2s data prepare has printed",
            )
        return Corpus.open(Path(corpus))
    recipe = load_recipe(corpus, values)
    return prepare_corpus(recipe.data, recipe.tokenizer)


def _print_lengths(splits: "dict[str, SplitLedger]", *, of_images: bool) -> None:
    """Print the lengths in tokens and characters, one row per side and split; images have none."""
    figures = ("tokens: mean", "median", "p99", "max", "characters: mean", "max ")
    rows = []
    for name, split in splits.items():
        sides = {"source": split.lengths.source, "target": split.lengths.target}
        if of_images:
            del sides["source"]
        for side, lengths in sides.items():
            tokens, characters = lengths.tokens, lengths.characters
            means = [f"{value:,.1f}" for value in (tokens.mean, tokens.median, tokens.p99)]
            rows.append([name, side, *means, f"{tokens.max:,}", f"{characters.mean:,.1f}", f"{characters.max:,}"])
    print_table(("split", "side", *figures), rows, figures, keys=2)


def _show_split(name: str, split: "SplitLedger") -> None:
    """Print how many pairs of a split were read, held out and dropped, and why, with examples."""
    out.print(f"{name}: {split.read:,} pairs read, {split.kept:,} kept", soft_wrap=True)
    for other, count in (split.held_out or {}).items():
        if count:
            out.print(f"  held out for {other}: {count:,}", soft_wrap=True)
    from s2s.data.ledger import REASONS

    for reason, tally in split.dropped.items():
        _show_tally(f"dropped, {REASONS[reason]}", tally)
    for one in split.filters:
        alone = f" (alone {one.alone:,})" if one.alone != one.dropped.count else ""
        _show_tally(f"dropped, {one.drops}", one.dropped, alone)
    if split.empty:
        _show_tally("a side is empty (kept)", split.empty)
    if split.overlap:
        _show_tally("the source also occurs in training", split.overlap.source)
        _show_tally("the pair also occurs in training", split.overlap.pair)


def _show_tally(label: str, tally: "Tally", remark: str = "") -> None:
    if not (tally.count or remark):
        return
    out.print(f"  {label}: {tally.count:,}{remark}", soft_wrap=True)
    for example in tally.examples:
        texts = [text for text in (example.source, example.target) if text is not None]
        out.print(escape_control(f"    {example.line}  {' → '.join(texts)}"), soft_wrap=True)


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
    from s2s.recipe.data import GeneratorOptions

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
    note(f"Next: s2s caption MODEL {directory}")


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
        note(f"Next: {f's2s translate MODEL {output}' if source_only else as_training}")
