"""`s2s init`: write a recipe for two text files."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from s2s.cli.console import note
from s2s.cli.options import Force

if TYPE_CHECKING:
    from s2s.data.recipe_template import Measured

FEW = 1000  # pairs below which training cannot give a useful model


def init(
    source: Annotated[Path, typer.Option(metavar="FILE", help="Source sentences, one per line; plain or compressed.")],
    target: Annotated[
        Path, typer.Option(metavar="FILE", help="Target sentences, aligned line by line; plain or compressed.")
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="Model name. Default: derived from the file names.")] = "",
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="Recipe to write; - prints it. Default: NAME.toml."),
    ] = "",
    force: Force = False,
    source_language: Annotated[
        str, typer.Option(metavar="CODE", help="Source language, such as de. Default: guessed from the file name.")
    ] = "",
    target_language: Annotated[
        str, typer.Option(metavar="CODE", help="Target language, such as en. Default: guessed from the file name.")
    ] = "",
    on_invalid: Annotated[
        Literal["refuse", "drop"], typer.Option(help="Invalid UTF-8: refuse the files or drop the pairs.")
    ] = "refuse",
) -> None:
    """Write a commented recipe for two text files, ready to edit and train.

    Both files are read once and checked. The recipe holds out validation and
    test lines, with vocabulary and network sizes that suit the amount of text.

    Examples:
        s2s init --source train.de --target train.en
        s2s init --source train.de --target train.en --name news -o news.toml
    """
    from s2s.data.recipe_template import draft_recipe
    from s2s.io.atomic import refuse_existing, write_output

    guessed = guess_languages(source.name, target.name)
    languages = source_language or guessed[0], target_language or guessed[1]
    name = _checked(name) if name else model_name(source.name, target.name, languages)
    recipe = Path(output or f"{name}.toml")
    if output != "-":
        refuse_existing(recipe, force)
    measured = _measured(source, target, on_invalid)
    files = _relative_name(recipe, source), _relative_name(recipe, target)
    text = draft_recipe(name, files, languages, measured, on_invalid)
    if measured.invalid.count:
        places = ", ".join(Path(example.line).name for example in measured.invalid.examples)
        read = measured.lines + measured.invalid.count
        note(
            f"warning: {measured.invalid.count:,} of {read:,} line pairs, invalid UTF-8, are dropped (first: {places})"
        )
    if measured.pairs < FEW:
        note(f"warning: {measured.pairs:,} different pairs are too few for a useful translation model")
    if not all(languages):
        note("cannot guess the languages from the file names; set --source-language and --target-language")
    if output == "-":
        print(text, end="")
    else:
        write_output(recipe, text.encode())
        note(f"wrote {recipe} (for {measured.lines:,} lines)")
        note(f"Next: s2s train {recipe}")


def _measured(source: Path, target: Path, on_invalid: Literal["refuse", "drop"]) -> "Measured":
    """Measure the two files; hints name this command's flags."""
    from s2s.data.recipe_template import measure
    from s2s.errors import DataError

    try:
        return measure(str(source.absolute()), str(target.absolute()), on_invalid)
    except DataError as error:
        hint = error.hint and error.hint.replace("--set data.on_invalid=drop", "--on-invalid drop")
        raise DataError(error.message, hint) from error


def guess_languages(source: str, target: str) -> tuple[str, str]:
    """Guess the languages from file names: `train.de.gz`, `train.en.gz` -> `de`, `en`; empty if unknown.

    They are the last parts in which the names differ and that are language codes.
    """
    from babel.localedata import exists

    for one, other in zip(*map(reversed, (_parts(source), _parts(target))), strict=False):
        if one != other and exists(one) and exists(other):
            return one, other
    return "", ""


def model_name(source: str, target: str, languages: tuple[str, str]) -> str:
    """Suggest a model name from the files' common prefix: `train.de`, `train.en` -> `train-de-en`."""
    from itertools import takewhile

    from s2s.recipe.recipe import is_name

    alike = takewhile(lambda both: both[0] == both[1], zip(_parts(source), _parts(target), strict=False))
    name = "-".join(filter(None, (*(part for part, _ in alike), *languages))).lower()[:64]
    return name if is_name(name) else "my-model"


def _parts(name: str) -> list[str]:
    from s2s.io.compression import without_suffix

    return re.split(r"[._-]", without_suffix(name))


def _checked(name: str) -> str:
    from s2s.errors import UsageError
    from s2s.recipe.recipe import is_name

    if not is_name(name):
        raise UsageError(
            f"--name {name}: not a valid model name",
            "use up to 64 of a-z, 0-9, dots, dashes and underscores, starting with a letter or digit",
        )
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
