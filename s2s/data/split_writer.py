"""Write the pairs of a split, or of a part of it, to an Arrow stream."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from s2s.data.readers.pair import Pair
from s2s.io.atomic import atomic_writer

BATCH = 100_000  # pairs written together: few large batches are mapped sooner than many small ones
BATCH_CHARACTERS = 1 << 26


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Pairs and their token ids, as columns of Arrow; the token of an image is its row."""

    pairs: list[Pair]
    source: Any  # list<item: int32>
    target: Any

    @classmethod
    def of(cls, pairs: list[Pair], sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Self:
        """Take pairs and the token ids of both sides."""
        return cls(pairs, _column(sources), _column(targets))

    def select(self, mask: NDArray[np.bool_]) -> "EncodedPairs":
        """Return some of the pairs."""
        if mask.all():
            return self
        return EncodedPairs([*itertools.compress(self.pairs, mask)], self.source.filter(mask), self.target.filter(mask))

    def lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the lengths of both sides in tokens."""
        source, target = (side.value_lengths().to_numpy().astype(np.int64) for side in (self.source, self.target))
        return source, target


def _column(rows: Sequence[Sequence[int]]) -> Any:
    """Return rows of tokens as a column; `pyarrow.array` takes twice as long."""
    import pyarrow as pa

    lengths = np.fromiter(map(len, rows), dtype=np.int32, count=len(rows))
    tokens = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32, count=int(lengths.sum()))
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), tokens)


class SplitWriter:
    """Writes pairs to an Arrow stream, `batch` at a time, fewer if they are long."""

    def __init__(self, stream: Any, schema: Any, batch: int) -> None:
        self._stream = stream
        self._schema = schema
        self._batch = batch
        self._waiting: list[Any] = []  # tables
        self._pairs = self._characters = 0  # waiting

    def write(self, encoded: EncodedPairs, files: Sequence[int]) -> None:
        """Append pairs; `files` are the numbers of their files in the ledger."""
        import pyarrow as pa

        sources, targets = [pair.source for pair in encoded.pairs], [pair.target for pair in encoded.pairs]
        columns = {
            "source": encoded.source,
            "target": encoded.target,
            "source_text": sources,
            "target_text": targets,
            "line": np.array([pair.line for pair in encoded.pairs], dtype=np.int64),
            "file": np.array(files, dtype=np.int32),
            "dataset": np.array([pair.dataset for pair in encoded.pairs], dtype=np.int32),
        }
        self._waiting.append(pa.table(columns, schema=self._schema))
        self._pairs += len(files)
        self._characters += sum(map(len, sources)) + sum(map(len, targets))
        if self._pairs >= self._batch or self._characters >= BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write the pairs that are waiting."""
        import pyarrow as pa

        if self._pairs:
            self._stream.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._pairs, self._characters = [], 0, 0


@contextmanager
def split_writer(path: Path, batch: int = BATCH) -> Iterator[SplitWriter]:
    """Write pairs to a file inside the block, all or none."""
    import pyarrow as pa

    tokens = pa.list_(pa.int32())
    columns = [("source", tokens), ("target", tokens), ("source_text", pa.string()), ("target_text", pa.string())]
    schema = pa.schema([*columns, ("line", pa.int64()), ("file", pa.int32()), ("dataset", pa.int32())])
    with atomic_writer(path) as file, pa.ipc.new_stream(file, schema) as stream:
        writer = SplitWriter(stream, schema, batch)
        yield writer
        writer.flush()
