"""A split of a corpus: sentence pairs in memory-mapped Arrow files.

N: sentence pairs of a split.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.data.image_store import ImageStore
from s2s.data.sources import Image

COLUMNS = {  # Arrow types
    "source": "list<item: int32>",
    "target": "list<item: int32>",
    "source_text": "string",
    "target_text": "string",
    "line": "int64",
    "file": "int32",
    "dataset": "int32",
}
Rows = Sequence[int] | NDArray[np.integer[Any]]
Ids = NDArray[np.int32]


class _Lists:
    """A column of lists of int32, as views of the memory-mapped files."""

    def __init__(self, chunks: list[Any]) -> None:
        self._values = [chunk.values.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._offsets = [chunk.offsets.to_numpy(zero_copy_only=True) for chunk in chunks]

    @functools.cached_property
    def lengths(self) -> Ids:
        """Length of each list [N]."""
        lengths = [np.diff(offsets) for offsets in self._offsets]
        return np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int32)

    def row(self, chunk: int, index: int) -> Ids:
        offsets = self._offsets[chunk]
        return self._values[chunk][offsets[index] : offsets[index + 1]]


class Split:
    """Pairs of one split; a row is a position in it, from 0."""

    def __init__(self, table: Any, files: list[str], images: ImageStore | None = None) -> None:
        """Read pairs from an Arrow table; `images` are their sources, unless those are sentences."""
        self._table = table
        self._files = files
        self._images = images
        batches = table.to_batches()
        self._source = _Lists([batch.column("source") for batch in batches])
        self._target = _Lists([batch.column("target") for batch in batches])
        self._starts = np.cumsum([0] + [batch.num_rows for batch in batches])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def source_lengths(self) -> Ids:
        """Number of tokens in each source [N], without special tokens; of an image, those that it counts as."""
        if self._images is not None:
            return np.full(len(self), len(self._images[0]), dtype=np.int32)
        return self._source.lengths

    @property
    def target_lengths(self) -> Ids:
        """Number of tokens in each target [N], without special tokens."""
        return self._target.lengths

    def encoded(self, rows: Rows) -> tuple[list[Ids] | list[Image], list[Ids]]:
        """Return the sources and targets of `rows` as read-only views of their token ids, without special tokens.

        The sources may be images instead.
        """
        positions = self._positions(rows)
        sources = [self._source.row(*at) for at in positions]
        targets = [self._target.row(*at) for at in positions]
        return (sources if self._images is None else [self._images[int(row[0])] for row in sources]), targets

    def sources(self, rows: Rows) -> list[str] | list[Image]:
        """Return the raw sources of `rows`: sentences or images."""
        if self._images is None:
            return self._values("source_text", rows)
        return [self._images[int(self._source.row(*at)[0])] for at in self._positions(rows)]

    def test_rows(self) -> list[list[int]]:
        """Return the rows of each test source: of an image, those of all its captions; else each row alone."""
        if self._images is None:
            return [[row] for row in range(len(self))]
        by_image: dict[int, list[int]] = {}
        for row, position in enumerate(self._positions(range(len(self)))):
            by_image.setdefault(int(self._source.row(*position)[0]), []).append(row)
        return list(by_image.values())

    def texts(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Return the sources and targets of `rows` as text; that of an image is its name."""
        return self._values("source_text", rows), self._values("target_text", rows)

    @property
    def file_numbers(self) -> Ids:
        """Number of each pair's file [N]; those of a file follow each other in its order."""
        numbers: Ids = self._table["file"].to_numpy()
        return numbers

    @property
    def dataset_numbers(self) -> Ids:
        """Number of each pair's dataset [N]: those of a mixture in its order, else 0."""
        numbers: Ids = self._table["dataset"].to_numpy()
        return numbers

    def lines(self, rows: Rows) -> list[int]:
        """Return the line number, from 1, of each of `rows` in its file."""
        return self._values("line", rows)

    def places(self, rows: Rows) -> list[str]:
        """Return `file:line` of each of `rows`, for messages."""
        files = (self._files[index] for index in self._values("file", rows))
        return [f"{file}:{line}" for file, line in zip(files, self.lines(rows), strict=True)]

    def find(self, file: str, line: int) -> int | None:
        """Return the row of the pair at a line of a file; None if the split does not have it."""
        import pyarrow.compute as pc

        if file not in self._files:
            return None
        number = self._files.index(file)
        there = pc.and_(pc.equal(self._table["file"], number), pc.equal(self._table["line"], line))
        rows = pc.indices_nonzero(there)
        return rows[0].as_py() if len(rows) else None

    def _positions(self, rows: Rows) -> list[tuple[int, int]]:
        """Return the chunk of each row and its index in the chunk. Raises IndexError."""
        wanted = np.asarray(rows, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"rows must be in 0 … {len(self) - 1}")
        chunks = np.searchsorted(self._starts, wanted, side="right") - 1
        return list(zip(chunks.tolist(), (wanted - self._starts[chunks]).tolist(), strict=True))

    def _values(self, column: str, rows: Rows) -> list[Any]:
        chunks = self._table.column(column).chunks
        return [chunks[chunk][index].as_py() for chunk, index in self._positions(rows)]


def map_tables(paths: Sequence[Path]) -> Any:
    """Map the Arrow streams of a split as one table. Raises OSError or ArrowException if they are none."""
    import pyarrow as pa

    return pa.concat_tables(pa.ipc.open_stream(pa.memory_map(str(path))).read_all() for path in paths)


def check_table(table: Any, vocab_size: int, files: int, datasets: int, images: ImageStore | None) -> None:
    """Check a table of pairs with tokens below `vocab_size`, from a number of files and datasets.

    Raises: ValueError or ArrowException if it has other columns, or numbers in them that are too large.
    """
    import pyarrow.compute as pc

    table.validate(full=True)
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    if types != COLUMNS or any(column.null_count for column in table.columns):
        raise ValueError(f"its columns are {types}")
    sources = vocab_size if images is None else len(images)
    for name, end in {"source": sources, "target": vocab_size, "file": files, "dataset": datasets}.items():
        column = table.column(name)
        found = pc.min_max(pc.list_flatten(column) if name in {"source", "target"} else column).as_py()
        if found["max"] is not None and not 0 <= found["min"] <= found["max"] < end:
            raise ValueError(f"{name} holds {found['min']} to {found['max']}, expected 0 to {end - 1}")
    if images is not None and set(_Lists(table.column("source").chunks).lengths) - {1}:
        raise ValueError("a source is not one image")
