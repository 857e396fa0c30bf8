"""Corpora: prepared, tokenized sentence pairs in a directory, memory-mapped.

    train-00000.arrow, …            training pairs, as Arrow streams (`datasets` reads them, too)
    validation.arrow, test.arrow    the other pairs
    dropped.arrow                   where each dropped pair was, and why it was dropped
    images.arrow                    images, if they are the sources: the token of a source is its row
    tokenizer.model                 SentencePiece model of both sides
    ledger.json                     pairs read, kept and dropped, lengths, overlap
    manifest.json                   sha256 and size of the others; written last
    verified.json                   size, time of change and inode of the files whose sha256 was found right

Texts of validation and test are stored raw, because scores compare raw text; those of train are normalized.
"""

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from s2s.data.image_store import IMAGES, ImageStore
from s2s.data.ledger import Ledger
from s2s.data.source_profile import SourceProfile
from s2s.data.split import Split, check_table, map_tables
from s2s.errors import ArtefactError, S2SError
from s2s.io.atomic import write_bytes, write_json
from s2s.io.digests import digest_file
from s2s.io.json_values import read_json, validate
from s2s.io.paths import safe_join
from s2s.io.schema import check_schema

log = logging.getLogger(__name__)

SCHEMA = 5  # of the corpus and its ledger; also raised when the same inputs give another corpus
SPLITS = ("train", "validation", "test")
DROPPED = "dropped.arrow"
MANIFEST, LEDGER, TOKENIZER, VERIFIED = "manifest.json", "ledger.json", "tokenizer.model", "verified.json"
NAME_LENGTH = 80  # of a file in messages
REMEDY = "remove the directory; s2s data prepare creates it again"


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


def shard_name(number: int) -> str:
    """Return the name of a file of training pairs."""
    return f"train-{number:05}.arrow"


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

    def verify(self, *, again: bool = False) -> None:
        """Check the contents of all files; those found right before and unchanged since only with `again`.

        Raises: ArtefactError.
        """
        self._verify(self._files, again=again)

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
        """Return `train`, `validation` or `test`, memory-mapped; its files are verified once.

        Raises: ArtefactError if one of them is damaged.
        """
        if name not in self._splits:
            names = _split_files(self._files, name)
            self._verify(names)
            table = self._map(names)
            self._splits[name] = Split(table, self.ledger.splits[name].files, self._images())
        return self._splits[name]

    def _verify(self, names: Collection[str], *, again: bool = False) -> None:
        """Check the contents of some files, and remember those that are right."""
        for name in names:
            _check_size(self.path, name, self._files[name].bytes)
        known = read_verified(self.path)
        due = [name for name in names if again or known.get(name) != _state(self.path / name)]
        for name in due:
            found = _state(self.path / name)
            _check_content(self.path, name, self._files[name].sha256)
            self._check_pairs(name)
            known[name] = found
        if due:
            write_verified(self.path, known)

    def _check_pairs(self, name: str) -> None:
        """Check that a file of pairs or images holds such. Raises ArtefactError."""
        import pyarrow as pa

        split = next((split for split in SPLITS if name in _split_files(self._files, split)), None)
        if not split:
            return
        images, ledger, tokens = self._images(), self.ledger.splits[split], self.ledger.tokenizer.tokens
        try:
            check_table(self._map([name]), tokens, len(ledger.files), max(1, len(ledger.datasets)), images)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _not_pairs(self.path, name, error) from error

    def _map(self, names: list[str]) -> Any:
        """Map files of pairs as one table. Raises ArtefactError."""
        import pyarrow as pa

        try:
            return map_tables([self.path / name for name in names])
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _not_pairs(self.path, names[0], error) from error

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


def _split_files(files: Iterable[str], split: str) -> list[str]:
    """Return which files of a corpus have the pairs of a split, in their order."""
    pattern = re.compile(r"train-\d{5,}\.arrow" if split == "train" else rf"{split}\.arrow")
    return sorted(filter(pattern.fullmatch, files), key=lambda name: (len(name), name))


def read_verified(directory: Path) -> dict[str, list[int]]:
    """Return the states of the files of a corpus whose contents were found right, by name."""
    try:
        return validate(dict[str, list[int]], read_json(directory / VERIFIED), VERIFIED)
    except S2SError:  # missing or damaged: everything is verified again
        return {}


def write_verified(directory: Path, states: Mapping[str, list[int]]) -> None:
    """Remember which files of a corpus were found right, unless its directory cannot be written."""
    try:
        write_json(directory / VERIFIED, states)
    except S2SError as error:
        log.debug("%s", error)


def _state(path: Path) -> list[int]:
    """Return the size of a file, when it was changed in nanoseconds, and its inode: another content has another state.

    A copy has another inode, so that nobody but this file system's users can claim that its content is right.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _check_files(directory: Path, files: dict[str, CorpusFile]) -> None:
    """Check the sizes of the files of a corpus, and the contents of small ones. Raises ArtefactError."""
    shards = _split_files(files, "train") or [shard_name(0)]
    expected = [*map(shard_name, range(len(shards))), "validation.arrow", "test.arrow", DROPPED, TOKENIZER, LEDGER]
    for name in expected:
        if name not in files:
            raise _damaged(directory, MANIFEST, f"it does not list {name}")
    if others := {*files} - {*expected, IMAGES}:
        raise _damaged(directory, MANIFEST, f"it lists {min(others)[:NAME_LENGTH]!r}")
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


def _not_pairs(directory: Path, name: str, error: Exception) -> ArtefactError:
    return _damaged(directory, name, f"not the Arrow stream of a split ({error})")


def write_corpus_files(
    directory: Path, key: str, tokenizer: bytes, ledger: Ledger, digests: Mapping[str, str] | None = None
) -> None:
    """Write the tokenizer, the ledger and, last, the manifest of a corpus whose other files are written.

    `digests`: the sha256 of those files that are known.
    """
    write_bytes(directory / TOKENIZER, tokenizer)
    write_json(directory / LEDGER, ledger.as_dict())
    known = digests or {}
    paths = sorted(directory.iterdir())
    files = {
        path.name: {"sha256": known.get(path.name) or digest_file(path), "bytes": path.stat().st_size} for path in paths
    }
    write_verified(directory, {path.name: _state(path) for path in paths})
    write_json(directory / MANIFEST, {"schema": SCHEMA, "key": key, "files": files})
