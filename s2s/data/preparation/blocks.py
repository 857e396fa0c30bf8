"""Blocks of training pairs, as they were read, with the fingerprints of the pairs.

N: pairs of a block.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.data.filters.fingerprints import PairFingerprints
from s2s.data.preparation.plan import CHUNK, Parts
from s2s.data.readers import Pair
from s2s.io.atomic import atomic_writer

TEXTS = ["source", "target", "line", "file", "dataset"]  # columns of what was read
OTHER = "other "  # what columns of further digests begin with


def as_batch(pairs: Sequence[Pair]) -> Any:
    """Return raw pairs as a record batch of Arrow."""
    import pyarrow as pa

    sources, targets, lines, files, datasets = zip(*pairs, strict=True) if pairs else [()] * 5
    numbers = {file: number for number, file in enumerate(dict.fromkeys(files))}
    indices = np.fromiter(map(numbers.__getitem__, files), np.int32, len(pairs))
    columns = {
        "source": pa.array(sources, pa.large_string()),
        "target": pa.array(targets, pa.large_string()),
        "line": np.array(lines, dtype=np.int64),
        "file": pa.DictionaryArray.from_arrays(indices, pa.array(numbers, pa.string())),
        "dataset": np.array(datasets, dtype=np.int32),
    }
    return pa.record_batch(columns)


def write_block(path: Path, pairs: Any, fingerprints: PairFingerprints) -> None:
    """Write raw pairs, given as by `as_batch`, and their fingerprints."""
    import pyarrow as pa

    found = fingerprints
    columns = {
        **{name: pairs.column(name) for name in TEXTS},
        "sources": found.sources,
        "letters": found.letters,
        "pairs": found.pairs,
        "empty": found.empty.view(np.uint8),
        "dropped": found.dropped,
        **{OTHER + by: digests for by, digests in found.others.items()},
    }
    batch = pa.record_batch(columns)
    with atomic_writer(path) as file, pa.ipc.new_stream(file, batch.schema) as stream:
        stream.write_batch(batch)


def read_batches(path: Path) -> Iterator[Any]:
    """Yield the raw pairs of a block in batches as of `as_batch`, of CHUNK pairs each."""
    batch = _read_batch(path).select(TEXTS)
    for start in range(0, batch.num_rows, CHUNK):
        yield batch.slice(start, CHUNK)


def read_pairs(path: Path) -> Iterator[list[Pair]]:
    """Yield the raw pairs of a block in chunks."""
    return map(as_pairs, read_batches(path))


def take_pairs(path: Path, rows: NDArray[np.integer[Any]]) -> list[Pair]:
    """Return some raw pairs of a block."""
    return as_pairs(_read_batch(path).select(TEXTS).take(rows))


def as_pairs(batch: Any) -> list[Pair]:
    """Return the pairs of a batch as of `as_batch`."""
    source, target, line, file, dataset = (batch.column(name) for name in TEXTS)
    names = file.dictionary.to_pylist()
    files = [names[number] for number in file.indices.to_pylist()]
    rows = zip(source.to_pylist(), target.to_pylist(), line.to_pylist(), files, dataset.to_pylist(), strict=True)
    return [tuple.__new__(Pair, row) for row in rows]  # in half the time of Pair(…)


def read_fingerprints(path: Path) -> PairFingerprints:
    """Map the fingerprints [N] of a block."""
    batch = _read_batch(path)
    found = {name: batch.column(name).to_numpy() for name in batch.schema.names if name not in TEXTS}
    others = {name.removeprefix(OTHER): digests for name, digests in found.items() if name.startswith(OTHER)}
    return PairFingerprints(
        found["sources"], found["letters"], found["pairs"], found["empty"].view(np.bool_), found["dropped"], others
    )


class FingerprintBlocks(Sequence[PairFingerprints]):
    """The fingerprints of all blocks, each of which is mapped when it is asked for."""

    def __init__(self, parts: Parts, count: int) -> None:
        self._parts = parts
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return read_fingerprints(self._parts.read(number, "arrow"))


def _read_batch(path: Path) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
        return stream.read_next_batch()
