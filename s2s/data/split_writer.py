"""Write the pairs of a split, or of a part of it, to an Arrow stream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s2s.data.readers.pair import Pair
from s2s.io.atomic import atomic_writer

BATCH = 100_000  # pairs written together: few large batches are mapped sooner than many small ones
BATCH_CHARACTERS = 1 << 26


class Encoded(NamedTuple):
    """A pair and its token ids."""

    pair: Pair
    source: list[int]  # the row of an image
    target: list[int]


class SplitWriter:
    """Writes pairs to an Arrow stream, `batch` at a time, fewer if they are long."""

    def __init__(self, stream: Any, schema: Any, batch: int) -> None:
        self._stream = stream
        self._schema = schema
        self._batch = batch
        self._waiting: list[Any] = []  # tables
        self._pairs = self._characters = 0  # waiting

    def write(self, encoded: Sequence[Encoded], files: Sequence[int]) -> None:
        """Append pairs; `files` are the numbers of their files in the ledger."""
        import pyarrow as pa

        sources, targets = [pair.source for pair, _, _ in encoded], [pair.target for pair, _, _ in encoded]
        columns = {
            "source": [source for _, source, _ in encoded],
            "target": [target for _, _, target in encoded],
            "source_text": sources,
            "target_text": targets,
            "line": np.array([pair.line for pair, _, _ in encoded], dtype=np.int64),
            "file": np.array(files, dtype=np.int32),
        }
        self._waiting.append(pa.table(columns, schema=self._schema))
        self._pairs += len(encoded)
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
    schema = pa.schema([*columns, ("line", pa.int64()), ("file", pa.int32())])
    with atomic_writer(path) as file, pa.ipc.new_stream(file, schema) as stream:
        writer = SplitWriter(stream, schema, batch)
        yield writer
        writer.flush()
