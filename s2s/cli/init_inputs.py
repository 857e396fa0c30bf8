"""The files that `s2s init` is given: their kind, columns, languages, and the data options that read them."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from s2s.data.file_names import TABLES, kind_of_file, languages_of_files, model_name, table_stem
from s2s.data.readers.columns import choose_columns, column_names, guess_delimiter
from s2s.data.readers.headers import language_named
from s2s.errors import UsageError
from s2s.text.lines import Texts

Splits = dict[str, dict[str, Path]]  # by split: its files by key


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files of sentence pairs, and how to read them."""

    splits: Splits
    options: dict[str, Any]  # further keys of `data`
    name: str  # for a model that is trained on them


def text_inputs(source: Path, target: Path, held_out: dict[str, Texts], languages: Texts) -> Inputs:
    """Return text files, the two sides of each split; languages that are not given are guessed from their names.

    Raises: UsageError if both sides, or two splits, are the same file.
    """
    splits = {"train": (source, target)} | {split: (Path(one), Path(other)) for split, (one, other) in held_out.items()}
    for split, (one, other) in splits.items():
        if _same(one, other):
            flag = "--source and --target" if split == "train" else f"--{split}"
            raise UsageError(f"both sides of {split} are the file {one}", f"{flag}: name two files")
    _refuse_repeated({split: files[0] for split, files in splits.items()})
    known = _either(languages, languages_of_files(source.name, target.name))
    sides = {split: dict(zip(("source", "target"), files, strict=True)) for split, files in splits.items()}
    return Inputs(sides, {"kind": "lines", **_languages(known)}, model_name(source.name, target.name, known))


def table_inputs(table: Path, columns: str, held_out: dict[str, Texts], languages: Texts) -> Inputs:
    """Return tables, one for each split; columns and languages that are not given are guessed from their names.

    Raises: UsageError if the columns cannot be told, or two splits are the same file; ResourceError, DataError if the
    table cannot be read.
    """
    kind = kind_of_file(table.name)
    if not kind:
        names = ", ".join(f".{one}" for one in TABLES)
        raise UsageError(f"{table} is not named as a table ({names})", "--source FILE --target FILE takes text files")
    splits = {"train": table}
    for split, (one, other) in held_out.items():
        if one != other or kind_of_file(one) != kind:
            raise UsageError(f"--{split} {one}: expected one .{kind} file, as {table}")
        splits[split] = Path(one)
    _refuse_repeated(splits)
    given = _given_columns(columns) if columns else None
    options, guessed = _read_columns(kind, str(table), given, languages)
    known, stem = _either(languages, guessed), table_stem(table.name)
    files = {split: {"files": path} for split, path in splits.items()}
    return Inputs(files, {"kind": kind, **_languages(known), **options}, model_name(stem, stem, known))


def _given_columns(columns: str) -> Texts:
    names = [part.strip() for part in columns.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise UsageError(f"--columns {columns}: expected two columns", "--columns SOURCE,TARGET")
    return names[0], names[1]


def _read_columns(kind: str, path: str, columns: Texts | None, languages: Texts) -> tuple[dict[str, Any], Texts]:
    """Return the data options that name the columns, and the languages that these tell."""
    match kind:
        case "po":
            return _po_columns(path, columns)
        case "tmx":
            chosen = columns or _chosen(column_names(kind, path), languages, path)
            return _columns(kind, columns) if columns else {}, _languages_of(chosen, languages)
    delimiter = guess_delimiter(path) if kind == "csv" else ","
    options = {} if delimiter == "," else {"delimiter": delimiter}
    if columns is None:
        names = [name.strip() for name in column_names(kind, path, delimiter)]
        fallback = None if len(names) != 2 else ("1", "2") if kind in ("tsv", "csv") else (names[0], names[1])
        columns = _chosen(names, languages, path, fallback)
    return options | _columns(kind, columns), _languages_of(columns, languages)


def _chosen(names: list[str], languages: Texts, path: str, fallback: Texts | None = None) -> Texts:
    chosen = choose_columns(names, languages) or fallback
    if chosen is None:
        raise UsageError(
            f"{path}: cannot tell which columns are the source and the target among {', '.join(names[:20])}",
            "--columns SOURCE,TARGET",
        )
    return chosen


def _po_columns(path: str, columns: Texts | None) -> tuple[dict[str, Any], Texts]:
    """Return the side of the source and the languages of a catalog, whose messages are commonly in English."""
    from s2s.data.readers.po import catalog_language

    columns = columns or ("msgid", "msgstr")
    if sorted(columns) != ["msgid", "msgstr"]:
        raise UsageError(f"--columns {','.join(columns)}: a .po file has the columns msgid and msgstr")
    translated = catalog_language(path)
    guessed = ("en", translated) if translated not in ("", "en") else ("", translated)
    return {"source_column": columns[0]}, guessed if columns[0] == "msgid" else (guessed[1], guessed[0])


def _columns(kind: str, columns: Texts) -> dict[str, Any]:
    numbered = kind in ("tsv", "csv")
    sides = zip(("source_column", "target_column"), columns, strict=True)
    return {side: int(column) if numbered and column.isdecimal() else column for side, column in sides}


def _languages_of(columns: Texts, languages: Texts) -> Texts:
    """Return the languages that columns are named after, in English or in `languages`."""
    source, target = (language_named(column, languages) for column in columns)
    return source, target


def _languages(languages: Texts) -> dict[str, str]:
    return {"source_language": languages[0], "target_language": languages[1]}


def _either(given: Texts, guessed: Texts) -> Texts:
    return given[0] or guessed[0], given[1] or guessed[1]


def _same(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _refuse_repeated(files: dict[str, Path]) -> None:
    """Raise UsageError if a file is named for two splits."""
    for (first, one), (second, other) in combinations(files.items(), 2):
        if _same(one, other):
            raise UsageError(f"{one} holds both the {first} and the {second} pairs", f"name another file for {second}")
