"""What a corpus is prepared from, and where the parts of it are kept until it is complete."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2s.data.corpora import corpora_directory, parts_directory
from s2s.data.corpus import SPLITS
from s2s.data.corpus_key import corpus_key
from s2s.data.image_preparation import StoredImages, store_images
from s2s.data.image_store import IMAGES
from s2s.data.preparation.records import read_record, write_record
from s2s.data.readers import OnInvalid, Pair, read_split, source_digests
from s2s.errors import DataError
from s2s.recipe.data import DataOptions
from s2s.recipe.pairs import FileOptions
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.lines import is_normalized, normalize

BLOCK = 100_000  # pairs
CHUNK = 4000  # pairs handled together


@dataclass(frozen=True)
class Plan:
    """What a corpus is prepared from: all that a process needs to do its share."""

    data: DataOptions
    tokenizer: TokenizerOptions
    tokenizer_model: bytes | None  # given instead of trained
    inputs: dict[str, dict[str, str]]  # sha256 of each input by split and file
    key: str
    directory: Path  # of the corpus
    block: int = BLOCK  # pairs in a block

    @classmethod
    def make(cls, data: DataOptions, tokenizer: TokenizerOptions, tokenizer_model: bytes | None = None) -> "Plan":
        """Read the inputs once, and plan a corpus of them. Raises UsageError, DataError or ResourceError."""
        inputs = {name: source_digests(data, name) for name in SPLITS}
        key = corpus_key(data, tokenizer, inputs, tokenizer_model)
        return cls(data, tokenizer, tokenizer_model, inputs, key, corpora_directory() / key[:16], BLOCK)

    @property
    def parts(self) -> "Parts":
        """The directory of what is prepared so far."""
        return Parts(parts_directory(self.directory))

    def check_inputs(self) -> None:
        """Raise DataError if an input has changed since its digest was computed."""
        if isinstance(self.data, FileOptions):
            for name in SPLITS:
                for file, digest in source_digests(self.data, name).items():
                    if digest != self.inputs[name][file]:
                        raise DataError(f"{file} changed while it was read", "start again")

    def names(self, split: str) -> str:
        """Return the names of the inputs of a split, for messages."""
        return ", ".join(self.inputs[split])

    def no_pairs(self, split: str, invalid: int) -> DataError:
        """Return the error of a split without pairs."""
        dropped = f" ({invalid:,} invalid ones dropped)" if invalid else ""
        return DataError(f"the corpus is empty: {split} has no pairs{dropped} in {self.names(split)}")

    @functools.cached_property
    def images(self) -> StoredImages | None:
        """Where the images are stored, if they are the sources; they are read and stored if they are not yet."""
        if not self.data.image_size:
            return None
        path = self.parts.images_file
        if path.exists():
            return StoredImages(**read_record(path))
        named = (pair.source for name in SPLITS for pair in read_split(self.data, name))
        stored = store_images(self.parts.path, self.data, named)
        write_record(path, dataclasses.asdict(stored), path.with_name(IMAGES))
        return stored

    def read(self, split: str, invalid: OnInvalid, damaged: Any) -> Iterator[Pair]:
        """Yield the raw pairs of a split; call `damaged` with those whose image is damaged."""
        pairs = read_split(self.data, split, invalid)
        return self.images.intact(pairs, damaged) if self.images else pairs

    def normalized_texts(self, sources: list[str], targets: list[str]) -> tuple[list[str], list[str]]:
        """Return both sides of pairs with normalized texts, the same lists if they are; names of images stay."""
        form, of_images = self.data.normalization, self.data.image_size is not None
        if is_normalized("\n".join(targets if of_images else [*sources, *targets]), form):
            return sources, targets
        if not of_images:
            sources = [normalize(source, form) for source in sources]
        return sources, [normalize(target, form) for target in targets]

    def normalized(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Return the pairs with normalized texts; the names of images stay as they are."""
        texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
        sources, targets = self.normalized_texts(*texts)
        if targets is texts[1]:
            return pairs
        return [
            pair._replace(source=source, target=target)
            for pair, source, target in zip(pairs, sources, targets, strict=True)
        ]

    def identified(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Return the normalized pairs; in place of an image's name, what images of the same content share."""
        pairs = self.normalized(pairs)
        return [*map(self.images.by_content, pairs)] if self.images else pairs


@dataclass(frozen=True)
class Parts:
    """The files of a preparation. Each appears complete or not at all; records (`.json`) follow what they describe."""

    path: Path

    def read(self, number: int, suffix: str) -> Path:
        """Return a file of a block that was read: its pairs (arrow), counts (json) or unreadable pairs (dropped)."""
        return self.path / "read" / f"{number:05}.{suffix}"

    def encoded(self, number: int, suffix: str) -> Path:
        """Return a file of an encoded block: pairs (arrow), counts (json), dropped pairs, statuses (npy)."""
        return self.path / "encoded" / f"{number:05}.{suffix}"

    @property
    def images_file(self) -> Path:
        """Where each image is stored, if images are the sources."""
        return self.path / "images.json"

    @property
    def totals_file(self) -> Path:
        """The file of the numbers of pairs; written when all were read."""
        return self.path / "totals.json"

    @property
    def selection_file(self) -> Path:
        """What was decided from all blocks; written after the statuses and the tokenizer."""
        return self.path / "selection.json"

    @property
    def status_file(self) -> Path:
        """The status of each pair."""
        return self.path / "status.npy"

    @property
    def tokenizer_file(self) -> Path:
        """The trained tokenizer."""
        return self.path / "tokenizer.model"

    def sizes(self) -> list[int]:
        """Return the number of pairs of each block, once all were read."""
        sizes: list[int] = read_record(self.totals_file)["blocks"]
        return sizes

    def unread(self) -> list[int]:
        """Return the blocks that are not stored yet."""
        return [number for number in range(len(self.sizes())) if not self.read(number, "json").exists()]

    def unencoded(self) -> list[int]:
        """Return the blocks that are not encoded yet."""
        return [number for number in range(len(self.sizes())) if not self.encoded(number, "json").exists()]

    def files(self) -> list[str]:
        """Return the names of the files of the training pairs, in the order in which they were read."""
        infos = (read_record(self.read(number, "json")) for number in range(len(self.sizes())))
        return [*dict.fromkeys(file for info in infos for file in info["readable"])]
