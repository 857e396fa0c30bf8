"""Write the pairs of a split, or of a part of it, to an Arrow stream.

N: pairs.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from s2s.io.atomic import atomic_writer

BATCH = 100_000  # pairs written together: few large batches are mapped sooner than many small ones
BATCH_CHARACTERS = 1 << 26


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Pairs and their token ids; the token of an image is its row."""

    sources: list[str]
    targets: list[str]
    columns: Any  # record batch: tokens, texts, lines, files and datasets

    @classmethod
    def of(
        cls,
        batch: Any,
        sources: list[str],
        targets: list[str],
        tokens: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]],
        files: Mapping[str, int],
    ) -> Self:
        """Take the texts and the token ids of both sides, and lines, files and datasets of a record batch.

        `files`: the numbers of the files in the ledger.
        """
        import pyarrow as pa

        file = batch.column("file")
        numbers = np.array([files[name] for name in file.dictionary.to_pylist()], dtype=np.int32)
        columns = [
            *map(_column, tokens),
            pa.array(sources, pa.string()),
            pa.array(targets, pa.string()),
            batch.column("line"),
            pa.array(numbers[file.indices.to_numpy()]),
            batch.column("dataset"),
        ]
        return cls(sources, targets, pa.record_batch(columns, schema=_schema()))

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def datasets(self) -> NDArray[np.int32]:
        """The number of each pair's dataset [N]."""
        numbers: NDArray[np.int32] = self.columns.column("dataset").to_numpy()
        return numbers

    def select(self, mask: NDArray[np.bool_]) -> "EncodedPairs":
        """Return some of the pairs."""
        if mask.all():
            return self
        sources, targets = ([*itertools.compress(side, mask)] for side in (self.sources, self.targets))
        return EncodedPairs(sources, targets, self.columns.filter(mask))

    def lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the lengths of both sides in tokens."""
        source, target = (
            self.columns.column(side).value_lengths().to_numpy().astype(np.int64) for side in ("source", "target")
        )
        return source, target


def _column(rows: Sequence[Sequence[int]]) -> Any:
    """Return rows of tokens as a column; `pyarrow.array` takes twice as long."""
    import pyarrow as pa

    lengths = np.fromiter(map(len, rows), dtype=np.int32, count=len(rows))
    tokens = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32, count=int(lengths.sum()))
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), tokens)


def _schema() -> Any:
    import pyarrow as pa

    tokens = pa.list_(pa.int32())
    columns = [("source", tokens), ("target", tokens), ("source_text", pa.string()), ("target_text", pa.string())]
    return pa.schema([*columns, ("line", pa.int64()), ("file", pa.int32()), ("dataset", pa.int32())])


class SplitWriter:
    """Writes pairs to an Arrow stream, `batch` at a time, fewer if they are long."""

    def __init__(self, stream: Any, batch: int) -> None:
        self._stream = stream
        self._batch = batch
        self._waiting: list[Any] = []  # record batches
        self._pairs = self._characters = 0  # waiting

    def write(self, encoded: EncodedPairs) -> None:
        """Append pairs."""
        self._waiting.append(encoded.columns)
        self._pairs += len(encoded)
        self._characters += sum(map(len, encoded.sources)) + sum(map(len, encoded.targets))
        if self._pairs >= self._batch or self._characters >= BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write the pairs that are waiting."""
        import pyarrow as pa

        if self._pairs:
            self._stream.write_table(pa.Table.from_batches(self._waiting).combine_chunks())
        self._waiting, self._pairs, self._characters = [], 0, 0


@contextmanager
def split_writer(path: Path, batch: int = BATCH) -> Iterator[SplitWriter]:
    """Write pairs to a file inside the block, all or none."""
    import pyarrow as pa

    with atomic_writer(path) as file, pa.ipc.new_stream(file, _schema()) as stream:
        writer = SplitWriter(stream, batch)
        yield writer
        writer.flush()
