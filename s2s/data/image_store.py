"""Images of a corpus, stored once each in one Arrow file, and mapped into memory.

images.arrow   one row per image: its pixels [height, width, 3] as uint8
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from s2s.data.sources import Image, Pixels
from s2s.io.atomic import atomic_writer
from s2s.io.digests import digest_bytes

IMAGES = "images.arrow"


class ImageStore:
    """The images of a corpus, as views of the memory-mapped file."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Map the images [*size, 3] in a file. Raises OSError, ValueError or ArrowException if it holds others."""
        import pyarrow as pa

        self._shape = (*size, 3)
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        if table.schema != _schema(self._shape):
            raise ValueError(f"its columns are {table.schema.to_string()}")
        self._chunks = [_rows(chunk, self._shape) for chunk in table.column("pixels").chunks]
        self._starts = np.cumsum([0, *map(len, self._chunks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> Image:
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        return Image(self._chunks[chunk][row - self._starts[chunk]])


class ImageWriter:
    """Writes images to an Arrow file, each content once."""

    def __init__(self, stream: Any, shape: tuple[int, ...]) -> None:
        self._stream = stream
        self._shape = shape
        self._rows: dict[str, int] = {}  # by the digest of the pixels

    def add(self, images: Sequence[Pixels]) -> list[int]:
        """Append images; return the row of each, an earlier one if its pixels were stored before."""
        import pyarrow as pa

        rows, new = [], []
        for pixels in images:
            digest = digest_bytes(pixels.tobytes())
            if digest not in self._rows:
                self._rows[digest] = len(self._rows)
                new.append(pixels.tobytes())
            rows.append(self._rows[digest])
        if new:
            schema = _schema(self._shape)
            self._stream.write_table(pa.table({"pixels": pa.array(new, schema.field("pixels").type)}, schema=schema))
        return rows


@contextmanager
def image_writer(directory: Path, size: tuple[int, int]) -> Iterator[ImageWriter]:
    """Write the images [*size, 3] of a corpus inside the block, all or none."""
    import pyarrow as pa

    shape = (*size, 3)
    with atomic_writer(directory / IMAGES) as file, pa.ipc.new_stream(file, _schema(shape)) as stream:
        yield ImageWriter(stream, shape)


def _schema(shape: tuple[int, ...]) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field("pixels", pa.binary(int(np.prod(shape))), nullable=False)])


def _rows(chunk: Any, shape: tuple[int, ...]) -> Pixels:
    """View a chunk of pixels as an array [rows, *shape]. Raises ValueError if it holds fewer bytes."""
    values = np.frombuffer(chunk.buffers()[1] or b"", dtype=np.uint8)
    size = int(np.prod(shape))
    return values[chunk.offset * size : (chunk.offset + len(chunk)) * size].reshape(len(chunk), *shape)
