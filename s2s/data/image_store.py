"""Images of a corpus, stored once each in one Arrow file, and mapped into memory.

images.arrow   one row per image: its pixels [height, width, 3] as uint8, or its features [height, width, C] as float16
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from s2s.data.sources import Features, Image, Pixels
from s2s.io.atomic import atomic_writer
from s2s.io.digests import digest_bytes
from s2s.recipe.image_size import ImageSize

IMAGES = "images.arrow"


class ImageStore:
    """The images of a corpus, as views of the memory-mapped file."""

    def __init__(self, path: Path, size: ImageSize) -> None:
        """Map the images in a file. Raises OSError, ValueError or ArrowException if it holds others."""
        import pyarrow as pa

        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        if table.schema != _schema(size):
            raise ValueError(f"its columns are {table.schema.to_string()}")
        self._chunks = [_rows(chunk, size) for chunk in table.column("pixels").chunks]
        self._starts = np.cumsum([0, *map(len, self._chunks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> Image:
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        return Image(self._chunks[chunk][row - self._starts[chunk]])


class ImageWriter:
    """Writes images to an Arrow file, each content once."""

    def __init__(self, stream: Any, size: ImageSize) -> None:
        self._stream = stream
        self._size = size
        self._rows: dict[str, int] = {}  # by the digest of the pixels

    def add(self, images: "Sequence[Pixels | Features]") -> list[int]:
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
            schema = _schema(self._size)
            self._stream.write_table(pa.table({"pixels": pa.array(new, schema.field("pixels").type)}, schema=schema))
        return rows


@contextmanager
def image_writer(directory: Path, size: ImageSize) -> Iterator[ImageWriter]:
    """Write the images of a corpus inside the block, all or none."""
    import pyarrow as pa

    with atomic_writer(directory / IMAGES) as file, pa.ipc.new_stream(file, _schema(size)) as stream:
        yield ImageWriter(stream, size)


def _schema(size: ImageSize) -> Any:
    import pyarrow as pa

    width = int(np.prod(size.shape)) * np.dtype(size.dtype).itemsize
    return pa.schema([pa.field("pixels", pa.binary(width), nullable=False)])


def _rows(chunk: Any, size: ImageSize) -> "Pixels | Features":
    """View a chunk of images as an array [rows, *size.shape]. Raises ValueError if it holds fewer bytes."""
    values = np.frombuffer(chunk.buffers()[1] or b"", dtype=size.dtype)
    count = int(np.prod(size.shape))
    return values[chunk.offset * count : (chunk.offset + len(chunk)) * count].reshape(len(chunk), *size.shape)
