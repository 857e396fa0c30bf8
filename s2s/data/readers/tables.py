"""Readers of Parquet files, through pyarrow, and of hub data sets, through the `datasets` library."""

import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any

from s2s.data.readers.files import data_path, open_data_file
from s2s.data.readers.pair import OnInvalid, Pair, drop_invalid
from s2s.errors import DataError, UsageError, did_you_mean
from s2s.io.paths import home_dir
from s2s.recipe.kinds import HubDataOptions, TableDataOptions
from s2s.recipe.splits import HubSplitOptions, TableSplitOptions
from s2s.text.lines import Texts, json_kind, single_line

ROWS = 1000  # rows of a table in memory


def read_parquet(data: TableDataOptions, split: TableSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of Parquet files, a batch of rows in memory at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    for name in split.files:
        open_data_file(data, name).close()
        path = data_path(data, name)
        try:
            # not pyarrow.dataset, which `datasets` reads with: its threads can abort a process that ends
            # (apache/arrow#45214)
            with parquet.ParquetFile(path) as file:
                tables = (pa.Table.from_batches([batch]) for batch in file.iter_batches(ROWS))
                yield from _table_pairs(tables, data, name, invalid)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a readable Parquet file ({_first_line(error)})") from error


def read_hub(data: HubDataOptions, split: HubSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the pairs of a hub data set, downloaded once."""
    datasets = datasets_library()
    try:
        rows = datasets.load_dataset(data.hub, data.hub_config or None, split=split.hub_split)
    except Exception as error:  # from an unknown name to a network failure
        raise UsageError(
            f"cannot load {split.hub_split or 'data'} of {data.hub} from the hub: {_first_line(error)}",
            "check data.hub, data.hub_config and data.*.hub_split, and the network",
        ) from error
    tables = rows.with_format("arrow").iter(batch_size=ROWS)
    yield from _table_pairs(tables, data, f"{data.hub} {split.hub_split}", invalid)


def _table_pairs(
    tables: Iterable[Any], data: TableDataOptions | HubDataOptions, name: str, invalid: OnInvalid
) -> Iterator[Pair]:
    """Yield the pairs of Arrow tables, in which invalid bytes can be detected."""
    number = 0
    for table in tables:
        columns = _column(table, data.source_column, name), _column(table, data.target_column, name)
        for cells in zip(*columns, strict=True):
            number += 1
            read = functools.partial(_cell_texts, cells, f"{name}:{number}")
            texts = drop_invalid(read, data, f"{name}:{number}", invalid)
            if texts is not None:
                yield Pair(*texts, number, name)


def _column(table: Any, key: str, name: str) -> Any:
    """Return a column of an Arrow table; `translation.de` is the field `de` of the column `translation`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column, *fields = [key] if key in table.column_names else key.split(".")
    try:
        return pc.struct_field(table.column(column), fields) if fields else table.column(column)
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        known = did_you_mean(key, table.column_names) or f"its columns: {', '.join(table.column_names)}"
        hint = f"{known} (data.source_column, data.target_column)"
        raise UsageError(f"{name} has no column {key}", hint) from error


def _cell_texts(cells: tuple[Any, Any], where: str) -> Texts:
    try:
        source, target = (cell.as_py() for cell in cells)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: invalid UTF-8") from error
    if not (isinstance(source, str) and isinstance(target, str)):
        raise DataError(f"{where}: expected text, found {json_kind(target if isinstance(source, str) else source)}")
    return single_line(source), single_line(target)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def datasets_library() -> Any:
    """Import and configure `datasets`: quiet, cached in the home directory, offline if HF_HUB_OFFLINE is set."""
    cache = home_dir() / "cache"
    os.environ.update(
        HF_DATASETS_CACHE=str(cache / "datasets"),
        HF_HUB_CACHE=str(cache / "hub"),
        HF_MODULES_CACHE=str(cache / "modules"),
        HF_HUB_DISABLE_TELEMETRY="1",
        USE_TORCH="0",  # not needed, and slow to import
    )
    import datasets

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    return datasets
