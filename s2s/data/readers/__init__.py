"""Readers: sentence pairs from files, a hub or a generator, and digests of their contents."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from s2s.data.readers.delimited import read_delimited
from s2s.data.readers.files import digest_data_file
from s2s.data.readers.images import digest_images, read_captions
from s2s.data.readers.lines import read_json_lines, read_line_files
from s2s.data.readers.pair import OnInvalid, Pair, in_chunks
from s2s.data.readers.po import read_po
from s2s.data.readers.tables import read_hub, read_parquet
from s2s.data.readers.tmx import read_tmx
from s2s.recipe.data import DataOptions
from s2s.recipe.kinds import CaptionDataOptions, GeneratorDataOptions, GeneratorOptions
from s2s.recipe.mixed import MixedDataOptions
from s2s.recipe.pairs import FileOptions
from s2s.recipe.splits import HubSplitOptions
from s2s.text.lines import Texts

__all__ = ["READERS", "OnInvalid", "Pair", "in_chunks", "read_split", "source_digests", "split_given"]

READERS: dict[str, Callable[[Any, Any, OnInvalid], Iterator[Pair]]] = {  # called with the kind's data and split options
    "lines": read_line_files,
    "tsv": read_delimited,
    "csv": read_delimited,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "tmx": read_tmx,
    "po": read_po,
    "images": read_captions,
    "features": read_captions,
    "hub": read_hub,
}


def read_split(data: DataOptions, name: str, invalid: OnInvalid = lambda _: None) -> Iterator[Pair]:
    """Yield the raw pairs of a split (`train`, `validation`, `test`); none if it has no files.

    With `on_invalid = "drop"`, `invalid` is called for each invalid pair.
    Raises: DataError for invalid UTF-8, missing columns and unequal line counts; UsageError or ResourceError if a file
    cannot be opened.
    """
    if isinstance(data, MixedDataOptions):
        yield from _read_datasets(data, name, invalid)
    elif isinstance(data, GeneratorDataOptions):
        for line, (source, target) in enumerate(_generate(data.generator)[name], 1):
            yield Pair(source, target, line, data.generator.name)
    else:
        yield from READERS[data.kind](data, data.split(name), invalid)


def _read_datasets(data: MixedDataOptions, name: str, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield the raw pairs of a split of all datasets in turn; data without files are named after their dataset."""
    for number, (dataset, part) in enumerate(zip(data.datasets, data.parts, strict=True)):
        for source, target, line, file, _ in read_split(part, name, invalid):
            yield Pair(source, target, line, file if isinstance(part, FileOptions) else dataset.name, number)


def split_given(data: DataOptions, name: str) -> bool:
    """Return whether a split has its own pairs instead of being held out from train."""
    return isinstance(data, GeneratorDataOptions) or data.split(name).given


def source_digests(data: DataOptions, name: str) -> dict[str, str]:
    """Return the sha256 of the unpacked content of each file of a split, or of all pairs if it has no files."""
    if isinstance(data, MixedDataOptions):
        parts = zip(data.datasets, data.parts, strict=True)
        return {
            file if isinstance(part, FileOptions) else f"{dataset.name}: {file}": digest
            for dataset, part in parts
            for file, digest in source_digests(part, name).items()
        }
    if isinstance(data, GeneratorDataOptions):
        return {f"generator {data.generator.name}": _digest_pairs(read_split(data, name))}
    split = data.split(name)
    if not isinstance(data, FileOptions):
        where = f"hub {data.hub} {split.hub_split}" if isinstance(split, HubSplitOptions) else data.hub
        return {where: _digest_pairs(read_split(data, name))} if split.given else {}
    digests = {file: digest_data_file(data, file) for files in split.file_lists for file in files}
    if isinstance(data, CaptionDataOptions) and split.given:
        digests |= digest_images(data, (pair.source for pair in read_split(data, name)))
    return digests


@functools.lru_cache(maxsize=1)
def _generate(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return all splits of a generator; the last ones are cached."""
    match options.name:
        case "numbers":
            from s2s.data.generators.numbers import numbers_pairs

            return numbers_pairs(options)
        case "recall":
            from s2s.data.generators.recall import recall_pairs

            return recall_pairs(options)
        case "scenes":
            from s2s.data.generators.scenes import scenes_pairs

            return scenes_pairs(options)
        case "grammar":
            from s2s.data.generators.grammar import grammar_pairs

            return grammar_pairs(options)


def _digest_pairs(pairs: Iterable[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps([pair.source, pair.target]).encode())
    return digest.hexdigest()
