"""The columns of a table file, and which of them are the source and the target."""

import itertools
import json
from typing import Any

from s2s.data.readers.delimited import read_header
from s2s.data.readers.headers import SOURCE_NAMES, TARGET_NAMES, is_one_of, language_named
from s2s.data.readers.tmx import read_units
from s2s.errors import DataError
from s2s.io.inputs import open_input, read_lines
from s2s.recipe.kinds import CsvDataOptions, TsvDataOptions
from s2s.recipe.languages import primary_language
from s2s.recipe.splits import TableSplitOptions
from s2s.text.lines import Texts

DELIMITERS = ",;\t|"
IDENTIFIER = "id"  # of rows, much more often than the language code of Indonesian
UNITS = 1000  # of a translation memory, in which languages are looked for


def guess_delimiter(path: str) -> str:
    """Return the delimiter of a CSV file: the one that its first line has most of."""
    with open_input(path) as file:
        line = next(read_lines(file, path), b"").decode(errors="replace")
    return max(DELIMITERS, key=line.count)


def column_names(kind: str, path: str, delimiter: str = ",") -> list[str]:
    """Return the names that the columns of a table may have: its first row, keys of its first object, languages.

    Raises: UsageError, ResourceError if it cannot be read; DataError if it is damaged or empty.
    """
    rest: dict[str, Any] = {"train": TableSplitOptions(files=[path]), "hold_out_validation": 1, "hold_out_test": 1}
    match kind:
        case "tsv":
            return read_header(TsvDataOptions(kind="tsv", **rest), path)
        case "csv":
            return read_header(CsvDataOptions(kind="csv", delimiter=delimiter, **rest), path)
        case "jsonl":
            return _json_keys(path)
        case "parquet":
            return _parquet_columns(path)
        case "tmx":
            with open_input(path) as file:
                units = itertools.islice(read_units(file, path), UNITS)
                return list(dict.fromkeys(language for unit in units for language in unit.texts))
        case _:
            return ["msgid", "msgstr"]


def choose_columns(names: list[str], languages: Texts) -> Texts | None:
    """Return the columns of source and target by their names: those of the languages, else typical words.

    Languages that are not given are those of the other columns, in their order. None unless exactly one choice fits.
    """
    codes = {name: language_named(name, languages) for name in names}
    wanted = [code and primary_language(code) for code in languages]
    found = [name for name in names if codes[name] and (name != IDENTIFIER or codes[name] in wanted)]
    pairs = itertools.permutations(found, 2) if any(wanted) else itertools.combinations(found, 2)
    fitting = [
        pair for pair in pairs if all(code in ("", codes[name]) for name, code in zip(pair, wanted, strict=True))
    ]
    if len(fitting) == 1:
        return fitting[0]
    sources, targets = ([name for name in names if is_one_of(name, known)] for known in (SOURCE_NAMES, TARGET_NAMES))
    return (sources[0], targets[0]) if len(sources) == len(targets) == 1 else None


def _json_keys(path: str) -> list[str]:
    """Return the keys of the first object under which there is text; `translation.de` inside of another."""
    with open_input(path) as file:
        line = next((line for line in read_lines(file, path) if line.strip()), b"")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: its first row is not JSON") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}: its first row is not an object")
    inner = [(key, value) for key, value in row.items() if isinstance(value, dict)]
    nested = [f"{key}.{name}" for key, value in inner for name in value if isinstance(value[name], str)]
    return [key for key, value in row.items() if isinstance(value, str)] + nested


def _parquet_columns(path: str) -> list[str]:
    """Return the columns of text; `translation.de` is a field of one."""
    import pyarrow as pa
    from pyarrow import parquet

    open_input(path).close()
    try:
        schema = parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file") from error
    fields = [(field.name, field.type) for field in schema]
    fields += [(f"{field.name}.{one.name}", one.type) for field in schema if pa.types.is_struct(field.type)
               for one in field.type]  # fmt: skip
    return [name for name, kind in fields if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
