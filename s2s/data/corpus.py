"""Corpora: prepared, tokenized sentence pairs in a directory, memory-mapped.

    train.arrow, validation.arrow, test.arrow   Arrow streams, as written by `datasets`
    dropped.arrow                               where each dropped pair was, and why it was dropped
    images.arrow                                images, if they are the sources: the token of a source is its row
    tokenizer.model                             SentencePiece model of both sides
    ledger.json                                 pairs read, kept and dropped, lengths, overlap
    manifest.json                               sha256 and size of the others; written last

Texts of validation and test are stored raw, because scores compare raw text; those of train are normalized.

N: sentence pairs of a split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from s2s.data.image_store import IMAGES, ImageStore
from s2s.data.ledger import Ledger
from s2s.data.readers import Pair
from s2s.data.source_profile import SourceProfile
from s2s.data.sources import Image
from s2s.errors import ArtefactError
from s2s.io.atomic import atomic_writer, write_bytes, write_json
from s2s.io.digests import digest_file
from s2s.io.json_values import read_json, validate
from s2s.io.paths import safe_join
from s2s.io.schema import check_schema

SCHEMA = 4  # of the corpus and its ledger; also raised when the same inputs give another corpus
SPLITS = ("train", "validation", "test")
ARROWS = tuple(f"{name}.arrow" for name in SPLITS)
DROPPED = "dropped.arrow"
MANIFEST, LEDGER, TOKENIZER = "manifest.json", "ledger.json", "tokenizer.model"
REMEDY = "remove the directory; s2s data prepare creates it again"
COLUMNS = {  # Arrow types
    "source": "list<item: int32>",
    "target": "list<item: int32>",
    "source_text": "string",
    "target_text": "string",
    "line": "int64",
    "file": "int32",
}
Rows = Sequence[int] | NDArray[np.integer[Any]]
Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file in the manifest."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest."""

    schema: int
    key: str
    files: dict[str, CorpusFile]  # by name


class Encoded(NamedTuple):
    """A pair and its token ids."""

    pair: Pair
    source: list[int]  # the row of an image
    target: list[int]


class _Lists:
    """A column of lists of int32, as views of the memory-mapped file."""

    def __init__(self, chunks: list[Any]) -> None:
        self._values = [chunk.values.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._offsets = [chunk.offsets.to_numpy(zero_copy_only=True) for chunk in chunks]
        lengths = [np.diff(offsets) for offsets in self._offsets]
        self.lengths: Ids = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int32)

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


class Corpus:
    """An open corpus. Its `digest` covers the contents of the inputs, the options and the tokenizer."""

    def __init__(self, path: Path, manifest: Manifest, ledger: Ledger, tokenizer: bytes) -> None:
        self.path = path
        self.digest = manifest.key
        self.ledger = ledger
        self.tokenizer = tokenizer
        self._files = manifest.files
        self._splits: dict[str, Split] = {}
        self._image_store: ImageStore | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the corpus in a directory; check the sizes of all files, but the contents of small ones only.

        Raises: UsageError if there is none, ArtefactError if it is damaged or has another schema.
        """
        where = f"{MANIFEST} of corpus {path}"
        values = read_json(path / MANIFEST, where)
        check_schema(values, SCHEMA, f"corpus {path}", "prepare it anew")
        manifest = validate(Manifest, values, where, REMEDY)
        _check_files(path, manifest.files)
        ledger = Ledger.parse(read_json(path / LEDGER), f"{LEDGER} of corpus {path}")
        if ledger.image_size and IMAGES not in manifest.files:
            raise _damaged(path, MANIFEST, f"it does not list {IMAGES}")
        return cls(path, manifest, ledger, (path / TOKENIZER).read_bytes())

    def verify(self) -> None:
        """Check the contents of all files. Raises ArtefactError."""
        for name, file in self._files.items():
            _check_content(self.path, name, file.sha256)

    @property
    def test_overlap(self) -> int:
        """Number of test sources that also occur in training."""
        overlap = self.ledger.splits["test"].overlap
        return overlap.source.count if overlap else 0

    @property
    def source_profile(self) -> SourceProfile:
        """What the training sources are like. Raises ArtefactError if the ledger lacks it."""
        profile = self.ledger.splits["train"].profile
        if profile is None:
            raise _damaged(self.path, LEDGER, "it has no profile of the training sources")
        return profile

    def split(self, name: str) -> Split:
        """Return `train`, `validation` or `test`, memory-mapped."""
        if name not in self._splits:
            files, vocab_size = self.ledger.splits[name].files, self.ledger.tokenizer.tokens
            self._splits[name] = _map_split(self.path / f"{name}.arrow", files, vocab_size, self._images())
        return self._splits[name]

    def _images(self) -> ImageStore | None:
        """Map the images that are the sources; None if sources are sentences. Raises ArtefactError."""
        import pyarrow as pa

        size = self.ledger.image_size
        if size is None:
            return None
        if self._image_store is None:
            try:
                self._image_store = ImageStore(self.path / IMAGES, size)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise _damaged(self.path, IMAGES, f"not the Arrow stream of images ({error})") from error
        return self._image_store


def _map_split(path: Path, files: list[str], vocab_size: int, images: ImageStore | None) -> Split:
    """Map an Arrow stream as `datasets.Dataset.from_file` does, without the seconds that its import takes.

    Raises: ArtefactError if it is not the stream of a split with `files` and tokens below `vocab_size`.
    """
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        table.validate(full=True)
        sources = vocab_size if images is None else len(images)
        _check_columns(table, {"source": sources, "target": vocab_size, "file": len(files)})
        if images is not None and set(_Lists(table.column("source").chunks).lengths) - {1}:
            raise ValueError("a source is not one image")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path.parent, path.name, f"not the Arrow stream of a split ({error})") from error
    return Split(table, files, images)


def _check_columns(table: Any, ends: dict[str, int]) -> None:
    """Raise ValueError if a table has other columns than a split, or numbers in them not below their `ends`."""
    import pyarrow.compute as pc

    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    if types != COLUMNS or any(column.null_count for column in table.columns):
        raise ValueError(f"its columns are {types}")
    for name, end in ends.items():
        column = table.column(name)
        found = pc.min_max(column if name == "file" else pc.list_flatten(column)).as_py()
        if found["max"] is not None and not 0 <= found["min"] <= found["max"] < end:
            raise ValueError(f"{name} holds {found['min']} to {found['max']}, expected 0 to {end - 1}")


def _check_files(directory: Path, files: dict[str, CorpusFile]) -> None:
    """Check the sizes of the files of a corpus, and the contents of small ones. Raises ArtefactError."""
    for name in (*ARROWS, DROPPED, TOKENIZER, LEDGER):
        if name not in files:
            raise _damaged(directory, MANIFEST, f"it does not list {name}")
    for name, file in files.items():
        _check_size(directory, name, file.bytes)
    for name in (TOKENIZER, LEDGER):
        _check_content(directory, name, files[name].sha256)


def _check_content(directory: Path, name: str, digest: str) -> None:
    if digest_file(directory / name) != digest:
        raise _damaged(directory, name, "its content has changed")


def _check_size(directory: Path, name: str, size: int) -> None:
    path = safe_join(directory, name)
    if not path.is_file():
        raise _damaged(directory, name, "it is missing")
    if (found := path.stat().st_size) != size:
        raise _damaged(directory, name, f"{found:,} bytes instead of {size:,}")


def _damaged(directory: Path, name: str, reason: str) -> ArtefactError:
    return ArtefactError(f"corpus {directory} is damaged: {name}: {reason}", REMEDY)


class SplitWriter:
    """Context manager that writes one split in chunks, complete or not at all."""

    def __init__(self, directory: Path, name: str) -> None:
        self._file = atomic_writer(directory / f"{name}.arrow")

    def __enter__(self) -> Self:
        from s2s.data.readers.tables import datasets_library

        datasets = datasets_library()
        features = datasets.Features(
            source=datasets.List(datasets.Value("int32")),
            target=datasets.List(datasets.Value("int32")),
            source_text=datasets.Value("string"),
            target_text=datasets.Value("string"),
            line=datasets.Value("int64"),
            file=datasets.Value("int32"),
        )
        stream: BinaryIO = self._file.__enter__()
        self._writer = datasets.arrow_writer.ArrowWriter(features=features, stream=stream)
        return self

    def write(self, encoded: list[Encoded], files: list[int]) -> None:
        """Append pairs; `files` are the numbers of their files in the ledger."""
        import pyarrow as pa

        pairs = [pair for pair, _, _ in encoded]
        columns = {
            "source": [source for _, source, _ in encoded],
            "target": [target for _, _, target in encoded],
            "source_text": [pair.source for pair in pairs],
            "target_text": [pair.target for pair in pairs],
            "line": [pair.line for pair in pairs],
            "file": files,
        }
        self._writer.write_table(pa.table(columns, schema=self._writer.schema), writer_batch_size=max(1, len(files)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._writer.finalize(close_stream=False)
        else:
            self._writer.close()
        self._file.__exit__(kind, error, trace)


def write_corpus_files(directory: Path, key: str, tokenizer: bytes, ledger: Ledger) -> None:
    """Write the tokenizer, the ledger and, last, the manifest of a corpus whose splits are written."""
    write_bytes(directory / TOKENIZER, tokenizer)
    write_json(directory / LEDGER, ledger.as_dict())
    images = [IMAGES] if ledger.image_size else []
    paths = [directory / name for name in (*ARROWS, DROPPED, *images, TOKENIZER, LEDGER)]
    files = {path.name: {"sha256": digest_file(path), "bytes": path.stat().st_size} for path in paths}
    write_json(directory / MANIFEST, {"schema": SCHEMA, "key": key, "files": files})
