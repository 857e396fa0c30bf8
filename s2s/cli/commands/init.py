"""`s2s init`: write a recipe for files of sentence pairs."""

from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from s2s.cli.console import note
from s2s.cli.options import Force

if TYPE_CHECKING:
    from s2s.cli.init_inputs import Inputs, Splits
    from s2s.data.recipe_sizes import Family, Size, Tables
    from s2s.data.recipe_template import Measured
    from s2s.recipe.data import DataOptions
    from s2s.recipe.recipe import Recipe
    from s2s.text.lines import Texts

FEW = 1000  # pairs below which training cannot give a useful model
HINTS = {  # keys that hints name, and this command's flags
    "--set data.on_invalid=drop": "--on-invalid drop",
    "--set data.kind=csv": "name the file .csv if its cells are separated by commas",
    "(data.source_column, data.target_column)": "(--columns SOURCE,TARGET)",
}
HELD_OUT = ("--validation", "--test")


class InitCommand(TyperCommand):
    """A command whose `--validation` and `--test` take two text files, or one table."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a single file after these options is given twice."""
        parts = [part for one in args for part in (one.split("=", 1) if one.partition("=")[0] in HELD_OUT else [one])]
        complete: list[str] = []
        for position, argument in enumerate(parts):
            complete.append(argument)
            is_first = position > 0 and parts[position - 1] in HELD_OUT
            if is_first and (position + 1 == len(parts) or parts[position + 1].startswith("-")):
                complete.append(argument)
        return super().parse_args(ctx, complete)


COMMAND = InitCommand


def init(
    table: Annotated[
        Path | None,
        typer.Argument(
            metavar="TABLE",
            help="A file with both sides: .tsv, .csv, .jsonl, .parquet, .tmx or .po.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Source sentences, one per line; plain or compressed.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Target sentences, aligned line by line; plain or compressed.")
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            metavar="SOURCE,TARGET",
            help="Columns of the table: names, numbers, or languages of a .tmx. Default: guessed from their names.",
        ),
    ] = "",
    validation: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="SRC TGT|TABLE", help="Validation pairs. Default: some lines are held out."),
    ] = None,
    test: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="SRC TGT|TABLE", help="Test pairs. Default: some lines are held out."),
    ] = None,
    family: Annotated[
        Literal["rnn", "transformer"] | None, typer.Option(help="Family of the network. Default: rnn.")
    ] = None,
    size: Annotated[
        Literal["tiny", "small", "base", "big"] | None,
        typer.Option(help="Size of the network. Default: by the number of pairs, at most small."),
    ] = None,
    begin_from: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune this model: take its tokenizer and network."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Model name. Default: derived from the file names.")] = "",
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="Recipe to write; - prints it. Default: NAME.toml."),
    ] = "",
    force: Force = False,
    source_language: Annotated[
        str, typer.Option(metavar="CODE", help="Source language, such as de. Default: guessed from names.")
    ] = "",
    target_language: Annotated[
        str, typer.Option(metavar="CODE", help="Target language, such as en. Default: guessed from names.")
    ] = "",
    on_invalid: Annotated[
        Literal["refuse", "drop"], typer.Option(help="Invalid UTF-8: refuse the files or drop the pairs.")
    ] = "refuse",
) -> None:
    """Write a commented recipe for two text files or a table, ready to edit and train.

    The files are read once and checked. The recipe holds out validation and
    test lines unless they are given, with vocabulary and network sizes that
    suit the amount of text.

    Examples:
        s2s init --source train.de --target train.en
        s2s init --source train.de --target train.en --test test.de test.en --name news -o news.toml
        s2s init pairs.csv --columns de,en --family transformer
        s2s init --source train.de --target train.en --from numbers-attention --name tuned
    """
    from s2s.data.recipe_template import draft_recipe
    from s2s.errors import UsageError
    from s2s.io.atomic import refuse_existing, write_output

    if begin_from and (family or size):
        raise UsageError("--from takes the network of the model", "leave out --family and --size")
    parent = _parent(begin_from) if begin_from else None
    given = {split: files for split, files in (("validation", validation), ("test", test)) if files}
    inputs = _inputs(table, source, target, columns, given, (source_language, target_language))
    name = _checked(name) if name else inputs.name
    recipe = Path(output or f"{name}.toml")
    if output != "-":
        refuse_existing(recipe, force)
    options = inputs.options | {"filter_preset": "basic", "on_invalid": on_invalid}
    measured = _measured(inputs.splits, options)
    tables = {"data": options | _held_out(measured.pairs, given)}
    for split, files in inputs.splits.items():
        tables[f"data.{split}"] = {key: _relative_name(recipe, path) for key, path in files.items()}
    tables |= _fine_tuned(parent, measured.pairs) if parent else _sized(measured, family or "rnn", size)
    if parent:
        tables["data"] = _inherited(parent, tables["data"])
    flags = ["--from", begin_from] if begin_from else []
    shown = " to ".join(path.name for path in inputs.splits["train"].values())
    text = draft_recipe(name, f"{shown}: {measured.lines:,} pairs", tables, join(["s2s", "train", *flags]))
    if measured.invalid.count:
        places = ", ".join(Path(example.line).name for example in measured.invalid.examples)
        read = measured.lines + measured.invalid.count
        lost = f"{measured.invalid.count:,} of {read:,} pairs, invalid UTF-8 or incomplete"
        note(f"warning: {lost}, are dropped (first: {places})")
    for finding in measured.findings:
        note(f"warning: {finding.message}")
        for example in finding.examples:
            note(f"  {example}")
    if measured.pairs < FEW and not parent:
        note(f"warning: {measured.pairs:,} different pairs are too few for a useful translation model")
    if not (tables["data"]["source_language"] and tables["data"]["target_language"]):
        note("cannot guess the languages from names; set --source-language and --target-language")
    if output == "-":
        print(text, end="")
    else:
        write_output(recipe, text.encode())
        note(f"wrote {recipe} (for {measured.lines:,} pairs)")
        note(f"Next: {join(['s2s', 'train', str(recipe), *flags])}")


def _inputs(
    table: Path | None,
    source: Path | None,
    target: Path | None,
    columns: str,
    held_out: "dict[str, Texts]",
    languages: "Texts",
) -> "Inputs":
    """Return what the files of these flags are. Raises UsageError if flags are missing or contradict each other."""
    from s2s.cli.init_inputs import table_inputs, text_inputs
    from s2s.data.file_names import kind_of_file
    from s2s.errors import UsageError

    if table and not source and not target:
        return table_inputs(table, columns, held_out, languages)
    if table:
        raise UsageError("a table has both sides", "leave out --source and --target, or the table")
    if columns:
        raise UsageError("--columns are those of a table", "s2s init TABLE --columns SOURCE,TARGET")
    if not source or not target:
        for split, (one, other) in held_out.items():
            if one != other and kind_of_file(one) and kind_of_file(other):
                flags = join(["s2s", "init", other, f"--{split}", one])
                raise UsageError(f"--{split} takes both {one} and {other}", f"name the table first: {flags}")
        raise UsageError("no files named", "s2s init --source FILE --target FILE, or s2s init TABLE")
    return text_inputs(source, target, held_out, languages)


def _measured(splits: "Splits", options: dict[str, Any]) -> "Measured":
    """Measure the training pairs and check those held out; hints name this command's flags."""
    from s2s.data.readers import read_split
    from s2s.data.recipe_template import measure
    from s2s.errors import DataError, UsageError

    data = _data_options(splits, options)
    try:
        measured = measure(data)
        for split in splits:
            if split != "train" and not sum(1 for _ in read_split(data, split)):
                raise DataError(f"there are no pairs in {next(iter(splits[split].values()))}")
    except (DataError, UsageError) as error:
        hint = error.hint or ""
        for key, flag in HINTS.items():
            hint = hint.replace(key, flag)
        raise type(error)(error.message, hint or None) from error
    return measured


def _data_options(splits: "Splits", options: dict[str, Any]) -> "DataOptions":
    """Return options that read the files. Raises UsageError naming what is wrong with them."""
    from pydantic import TypeAdapter, ValidationError

    from s2s.errors import UsageError
    from s2s.io.json_values import uncapitalized
    from s2s.recipe.data import DataOptions

    files = {split: {key: str(path.absolute()) for key, path in named.items()} for split, named in splits.items()}
    held = {f"hold_out_{split}": 1 for split in ("validation", "test") if split not in splits}
    try:
        data: DataOptions = TypeAdapter(DataOptions).validate_python(options | files | held)
    except ValidationError as error:
        message = uncapitalized(error.errors(include_url=False)[0]["msg"])
        raise UsageError(message, "s2s init TABLE --columns SOURCE,TARGET") from error
    return data


def _held_out(pairs: int, given: "dict[str, Texts]") -> dict[str, int]:
    from s2s.data.recipe_sizes import held_out

    return {f"hold_out_{split}": held_out(pairs) for split in ("validation", "test") if split not in given}


def _sized(measured: "Measured", family: "Family", size: "Size | None") -> "Tables":
    """Return the tables of a tokenizer, a network and training that suit the amount of text."""
    from s2s.data.recipe_sizes import accepted_vocab_size, network, training, vocab_size

    model = network(measured.pairs, family, size)
    tokens = vocab_size(measured.pairs, measured.words, measured.characters)
    if measured.sample:
        tokens = accepted_vocab_size(tokens, measured.repeated, measured.characters, measured.sample)
    return {
        "tokenizer": {"vocab_size": tokens},
        **model,
        "training": training(measured.pairs, family, model["model"]["embedding_size"]),
        "decoding": {"beam_size": 5, "length_penalty": 1.0},
    }


def _parent(reference: str) -> "Recipe":
    """Return the recipe of a model to fine-tune. Raises UsageError if it captions images."""
    from s2s.errors import UsageError
    from s2s.registry.store import Registry

    recipe = Registry.default().resolve(reference).recipe()
    if recipe.model.of_images:
        raise UsageError(f"model {reference} captions images", "name a model that translates text")
    return recipe


def _fine_tuned(parent: "Recipe", pairs: int) -> "Tables":
    """Return the parent's tokenizer, network and search, and a short training."""
    from s2s.data.recipe_sizes import fine_tuning
    from s2s.data.recipe_template import inherited_tables

    decoding = {"beam_size": parent.decoding.beam_size, "length_penalty": parent.decoding.length_penalty}
    return {**inherited_tables(parent), "training": fine_tuning(pairs, parent.training.lr), "decoding": decoding}


def _inherited(parent: "Recipe", data: dict[str, Any]) -> dict[str, Any]:
    """Return data options with the parent's normalization, and its languages where they are not known."""
    languages = {key: data[key] or getattr(parent.data, key) for key in ("source_language", "target_language")}
    return data | languages | {"normalization": parent.data.normalization}


def _checked(name: str) -> str:
    from s2s.errors import UsageError
    from s2s.recipe.recipe import is_name
    from s2s.registry.store import NAME_RULE

    if not is_name(name):
        raise UsageError(f"--name {name}: not a valid model name", NAME_RULE)
    return name


def _relative_name(recipe: Path, file: Path) -> str:
    """Return a file name relative to the recipe's directory if the file is inside it, else absolute.

    Raises: UsageError if the name is not UTF-8, which TOML requires.
    """
    from s2s.errors import UsageError

    path, directory = file.resolve(), recipe.resolve().parent
    name = str(path.relative_to(directory) if path.is_relative_to(directory) else path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{name}: the file name is not UTF-8, which recipes require", "rename the file") from error
    return name
