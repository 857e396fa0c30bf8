"""Sources: sentence pairs from text files, tables, a hub or a generator, and digests of their contents.

Lines, TSV and JSON lines go through `text/lines.py`, which is faithful to lines; Parquet and hubs through `datasets`.
"""

import functools
import gzip
import hashlib
import io
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from s2s.errors import DataError, S2SError, UsageError, did_you_mean
from s2s.io.inputs import open_input, read_lines
from s2s.io.paths import home_dir
from s2s.recipe.data import (
    DataOptions,
    FileOptions,
    GeneratorDataOptions,
    GeneratorOptions,
    HubDataOptions,
    HubSplitOptions,
    LinesDataOptions,
    LinesSplitOptions,
    PairOptions,
    TableDataOptions,
    TableSplitOptions,
    TsvDataOptions,
)
from s2s.text.lines import Texts, decode_line, json_texts, single_line, tsv_texts

ROWS_AT_ONCE = 1000  # rows of a table in memory
STAY_OFFLINE = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}  # the user's own config


class Pair(NamedTuple):
    """A sentence and its translation, the line (from 1) where they stand and the file, as the recipe names it."""

    source: str
    target: str
    line: int
    file: str


Invalid = Callable[[str], None]  # told `file:line` of each pair that is left out because it is not valid


def read_split(data: DataOptions, name: str, invalid: Invalid = lambda _: None) -> Iterator[Pair]:
    """Yield the pairs of a split (`train`, `validation`, `test`) as read from its files; none if it has no files.

    With `on_invalid = "drop"`, `invalid` is told of each pair that is left out.
    Raises: DataError for invalid UTF-8, rows without the columns, unequal line counts; UsageError, ResourceError for
    files that cannot be opened.
    """
    if isinstance(data, GeneratorDataOptions):
        for line, (source, target) in enumerate(_generated(data.generator)[name], 1):
            yield Pair(source, target, line, data.generator.name)
        return
    yield from _READERS[data.kind](data, data.split(name), invalid)


def split_given(data: DataOptions, name: str) -> bool:
    """Whether a split is read from somewhere, rather than held out from train."""
    return isinstance(data, GeneratorDataOptions) or data.split(name).given


def source_digests(data: DataOptions, name: str) -> dict[str, str]:
    """Return the sha256 of each file's (unpacked) content in a split, or of all pairs if it has no files."""
    if isinstance(data, GeneratorDataOptions):
        return {f"generator {data.generator.name}": _digest_pairs(read_split(data, name))}
    split = data.split(name)
    if not isinstance(data, FileOptions):
        where = f"hub {data.hub} {split.hub_split}" if isinstance(split, HubSplitOptions) else data.hub
        return {where: _digest_pairs(read_split(data, name))} if split.given else {}
    return {file: _digest_file(data, file) for files in split.file_lists for file in files}


@functools.lru_cache(maxsize=1)
def _generated(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """All splits of the generator, made once."""
    from s2s.data.generators.numbers import numbers_pairs
    from s2s.data.generators.recall import recall_pairs

    return {"numbers": numbers_pairs, "recall": recall_pairs}[options.name](options)


def _digest_pairs(pairs: Iterable[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps([pair.source, pair.target]).encode())
    return digest.hexdigest()


def _digest_file(data: FileOptions, name: str) -> str:
    with _open(data, name) as file:
        try:
            return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{_path(data, name)}: the gzip file is damaged or truncated ({error})") from error


def _path(data: FileOptions, name: str) -> str:
    return str(Path(data.root, name))


def _open(data: FileOptions, name: str) -> BinaryIO:
    try:
        return open_input(_path(data, name))
    except UsageError as error:
        hint = None if Path(name).is_absolute() else "--set data.root=DIRECTORY names the directory of the data"
        raise UsageError(error.message, hint) from error


def _or_left_out(read: Callable[[], Texts | None], data: PairOptions, where: str, invalid: Invalid) -> Texts | None:
    """Return the result of `read`; for a DataError with `on_invalid` drop, call `invalid` and return None."""
    try:
        return read()
    except DataError as error:
        if data.on_invalid == "refuse":
            raise DataError(error.message, error.hint or "--set data.on_invalid=drop leaves such pairs out") from error
        invalid(where)
        return None


def _read_lines(data: LinesDataOptions, split: LinesSplitOptions, invalid: Invalid) -> Iterator[Pair]:
    """Pairs of files, line by line."""
    if len(split.source) != len(split.target):
        names = ", ".join(split.source + split.target)
        raise UsageError(
            f"{len(split.source)} source and {len(split.target)} target files: {names}",
            "data.*.source and data.*.target name as many files each, in the same order",
        )
    for source, target in zip(split.source, split.target, strict=True):
        yield from _aligned(data, source, target, invalid)


def _aligned(data: FileOptions, source: str, target: str, invalid: Invalid) -> Iterator[Pair]:
    paths = _path(data, source), _path(data, target)
    counts = [0, 0]
    with _open(data, source) as source_file, _open(data, target) as target_file:
        lines = itertools.zip_longest(read_lines(source_file, paths[0]), read_lines(target_file, paths[1]))
        for number, sides in enumerate(lines, 1):
            counts = [count + (side is not None) for count, side in zip(counts, sides, strict=True)]
            if None in sides:
                continue  # only counting what is left of the longer one
            texts = _or_left_out(functools.partial(_decoded, sides, paths, number), data, f"{source}:{number}", invalid)
            if texts is not None:
                yield Pair(*texts, number, source)
    if counts[0] != counts[1]:
        raise DataError(
            f"line counts differ: {paths[0]} has {counts[0]:,}, {paths[1]} has {counts[1]:,}",
            "line N of the one must be the translation of line N of the other",
        )


def _decoded(sides: tuple[bytes, bytes], paths: tuple[str, str], number: int) -> tuple[str, str]:
    source, target = (decode_line(side, f"{path}:{number}", "refuse") for side, path in zip(sides, paths, strict=True))
    return source, target


def _read_rows(data: TsvDataOptions | TableDataOptions, split: TableSplitOptions, invalid: Invalid) -> Iterator[Pair]:
    """Pairs of TSV and JSON lines, a row a line; empty lines are no rows."""
    parse = _row_parser(data)
    for name in split.files:
        path = _path(data, name)
        with _open(data, name) as file:
            for number, line in enumerate(read_lines(file, path), 1):
                read = functools.partial(parse, line, where=f"{path}:{number}")
                texts = _or_left_out(read, data, f"{name}:{number}", invalid)
                if texts is not None:
                    yield Pair(*texts, number, name)


def _row_parser(data: TsvDataOptions | TableDataOptions) -> Callable[..., Texts | None]:
    """Return the function that parses a row, given the line and its place."""
    if isinstance(data, TsvDataOptions):
        return functools.partial(tsv_texts, columns=(data.source_column, data.target_column))
    return functools.partial(json_texts, keys=(data.source_column, data.target_column))


def _read_parquet(data: TableDataOptions, split: TableSplitOptions, invalid: Invalid) -> Iterator[Pair]:
    """Parquet files, streamed."""
    from glob import escape

    for name in split.files:
        _open(data, name).close()
        path = _path(data, name)
        datasets = datasets_library()
        try:
            rows = datasets.load_dataset("parquet", data_files=escape(path), split="train", streaming=True)
            yield from _table_pairs(rows, data, name, invalid)
        except S2SError:
            raise
        except Exception as error:  # the libraries below have no common family of errors
            raise DataError(f"{path}: not a Parquet file that can be read ({_first_line(error)})") from error


def _read_hub(data: HubDataOptions, split: HubSplitOptions, invalid: Invalid) -> Iterator[Pair]:
    """Yield the pairs of a hub data set, downloaded once."""
    datasets = datasets_library(online=True)
    try:
        rows = datasets.load_dataset(data.hub, data.hub_config or None, split=split.hub_split)
    except Exception as error:  # anything from a name that does not exist to a network that is down
        raise UsageError(
            f"cannot load {split.hub_split or 'data'} of {data.hub} from the hub: {_first_line(error)}",
            "check data.hub, data.hub_config and data.*.hub_split, and the network",
        ) from error
    yield from _table_pairs(rows, data, f"{data.hub} {split.hub_split}", invalid)


def _table_pairs(rows: Any, data: TableDataOptions | HubDataOptions, name: str, invalid: Invalid) -> Iterator[Pair]:
    """Yield the pairs of a data set in Arrow batches, which keep invalid bytes detectable."""
    number = 0
    for table in rows.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
        columns = _column(table, data.source_column, name), _column(table, data.target_column, name)
        for cells in zip(*columns, strict=True):
            number += 1
            read = functools.partial(_cell_texts, cells, f"{name}:{number}")
            texts = _or_left_out(read, data, f"{name}:{number}", invalid)
            if texts is not None:
                yield Pair(*texts, number, name)


def _column(table: Any, key: str, name: str) -> Any:
    """Return a column of an Arrow table; `translation.de` is the field `de` of the column `translation`."""
    import pyarrow.compute as pc

    column, *fields = [key] if key in table.column_names else key.split(".")
    try:
        return pc.struct_field(table.column(column), fields) if fields else table.column(column)
    except (KeyError, ValueError, TypeError) as error:  # Arrow's own errors are among these
        known = did_you_mean(key, table.column_names) or f"its columns: {', '.join(table.column_names)}"
        hint = f"{known} (data.source_column, data.target_column)"
        raise UsageError(f"{name} has no column {key}", hint) from error


def _cell_texts(cells: tuple[Any, Any], where: str) -> tuple[str, str]:
    try:
        source, target = (cell.as_py() for cell in cells)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: invalid UTF-8") from error
    if not (isinstance(source, str) and isinstance(target, str)):
        raise DataError(f"{where}: expected text, found {type(target if isinstance(source, str) else source).__name__}")
    return single_line(source), single_line(target)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def datasets_library(*, online: bool = False) -> Any:
    """Import and configure `datasets`: quiet, offline unless a hub was named, cached below the home directory."""
    offline = not online or STAY_OFFLINE
    cache = home_dir() / "cache"
    os.environ.update(
        HF_HUB_OFFLINE=str(int(offline)),
        HF_DATASETS_OFFLINE=str(int(offline)),
        HF_DATASETS_CACHE=str(cache / "datasets"),
        HF_HUB_CACHE=str(cache / "hub"),
        HF_MODULES_CACHE=str(cache / "modules"),
        HF_HUB_DISABLE_TELEMETRY="1",
        USE_TORCH="0",  # nothing here needs it, and it takes seconds to import
    )
    import datasets
    import huggingface_hub

    # both read the environment once, when first imported
    datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = offline
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    return datasets


_READERS: dict[str, Callable[[Any, Any, Invalid], Iterator[Pair]]] = {  # by kind, which decides both options' types
    "lines": _read_lines,
    "tsv": _read_rows,
    "jsonl": _read_rows,
    "parquet": _read_parquet,
    "hub": _read_hub,
}
