"""Readers of images and their captions: TSV, JSON lines and COCO-style JSON, and digests of the images."""

import functools
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from s2s.data.images import open_image
from s2s.data.readers.files import data_path, open_data_file
from s2s.data.readers.pair import OnInvalid, Pair, drop_invalid
from s2s.devices.runtime import usable_threads
from s2s.errors import DataError, UsageError, did_you_mean, wrap_os_errors
from s2s.io.compression import SUFFIXES, without_suffix
from s2s.io.inputs import open_input, read_lines
from s2s.recipe.kinds import CaptionDataOptions
from s2s.recipe.splits import CaptionSplitOptions
from s2s.text.lines import Texts, decode_line, json_kind, single_line, tsv_texts

MAX_JSON = 2**29  # bytes of a COCO-style file, unpacked
CHUNK = 2**20  # bytes
Row = tuple[int, Callable[[], list[Texts]]]  # number in the file, and what returns its images and captions


def read_captions(data: CaptionDataOptions, split: CaptionSplitOptions, invalid: OnInvalid) -> Iterator[Pair]:
    """Yield a pair for each caption; its source is the name of the image, relative to `data.images`.

    `.tsv` files have an image and a caption per line; `.jsonl` files have objects with `image` and either `caption` or
    a list `captions`; `.json` files are COCO-style, read in the order of their images.
    """
    for name in split.files:
        rows = _row_reader(name)
        with open_data_file(data, name) as file:
            for number, parse in rows(file, data_path(data, name)):
                captions: list[Texts] = []
                drop_invalid(functools.partial(_extend, captions, parse), data, f"{name}:{number}", invalid)
                for image, caption in captions:
                    yield Pair(image, caption, number, name)


def read_caption_table(path: str) -> Iterator[Texts]:
    """Yield the name of the image and the text of each caption in a table, of any form that `read_captions` reads.

    Raises: UsageError or ResourceError if it cannot be read, DataError naming the line that is malformed.
    """
    rows = _row_reader(path)
    with open_input(path) as file:
        for _, parse in rows(file, path):
            yield from parse()


def image_path(data: CaptionDataOptions, name: str) -> str:
    """Return the path of the image file that a pair names."""
    return str(Path(data.root, data.images, name))


def digest_images(data: CaptionDataOptions, names: Iterable[str]) -> dict[str, str]:
    """Return one sha256 of the names and contents of these images; missing ones count as such."""
    ordered = sorted(set(names))
    digest = hashlib.sha256()
    with ThreadPoolExecutor(usable_threads()) as pool:
        for name, content in zip(ordered, pool.map(functools.partial(_digest_image, data), ordered), strict=True):
            digest.update(json.dumps([name, content]).encode())
    return {f"images in {data.images or '.'}": digest.hexdigest()}


def _digest_image(data: CaptionDataOptions, name: str) -> str | None:
    path = image_path(data, name)
    try:
        with open_image(path) as file, wrap_os_errors(path, "read"):
            return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()
    except UsageError:  # it is missing
        return None


def _extend(captions: list[Texts], parse: Callable[[], list[Texts]]) -> None:
    captions.extend(parse())


def _row_reader(name: str) -> Callable[[BinaryIO, str], Iterator[Row]]:
    """Return the reader for a file name. Raises UsageError if there is none."""
    readers = {".tsv": _tsv_rows, ".jsonl": _json_rows, ".json": _coco_rows}
    suffix = PurePosixPath(without_suffix(name)).suffix
    if suffix not in readers:
        raise UsageError(
            f"{name}: expected a name that ends in .tsv, .jsonl or .json, optionally followed by {', '.join(SUFFIXES)}",
            "convert the captions to lines of an image's name, a tab and a caption, and name the file .tsv",
        )
    return readers[suffix]


def _tsv_rows(file: BinaryIO, path: str) -> Iterator[Row]:
    for number, line in enumerate(read_lines(file, path), 1):
        yield number, functools.partial(_tsv_captions, line, f"{path}:{number}")


def _tsv_captions(line: bytes, where: str) -> list[Texts]:
    texts = tsv_texts(line, (1, 2), where)
    return [] if texts is None else _captions(texts[0], [texts[1]], where)


def _json_rows(file: BinaryIO, path: str) -> Iterator[Row]:
    for number, line in enumerate(read_lines(file, path), 1):
        yield number, functools.partial(_json_captions, line, f"{path}:{number}")


def _json_captions(line: bytes, where: str) -> list[Texts]:
    text = decode_line(line, where, "refuse")
    if not text.strip():
        return []
    row = _load_json(text, where)
    if isinstance(row, dict) and "captions" in row:
        captions = _list(row, "captions", where)
    else:
        captions = [_value(row, "caption", where)]
    return _captions(_value(row, "image", where), captions, where)


def _coco_rows(file: BinaryIO, path: str) -> Iterator[Row]:
    """Yield the annotations of a file by image, in the order of the images; those without an image are last."""
    content = _load_json(_read_all(file, path), path)
    names: dict[int | str, Any] = {}
    for image in _list(content, "images", path):
        identifier = _identifier(image, "id")
        if identifier is not None and names.setdefault(identifier, image.get("file_name")) != image.get("file_name"):
            raise DataError(f"{path}: several images have the id {identifier!r}")
    order: dict[int | str | None, int] = {identifier: position for position, identifier in enumerate(names)}
    numbered = list(enumerate(_list(content, "annotations", path), 1))
    numbered.sort(key=lambda item: order.get(_identifier(item[1], "image_id"), len(order)))
    for number, annotation in numbered:
        yield number, functools.partial(_coco_captions, annotation, names, f"{path}: annotation {number}")


def _coco_captions(annotation: Any, names: dict[int | str, Any], where: str) -> list[Texts]:
    image, caption = (_value(annotation, key, where) for key in ("image_id", "caption"))
    identifier = _identifier(annotation, "image_id")
    if identifier not in names:
        raise DataError(f"{where}: no image has the id {image!r}")
    return _captions(names[identifier], [caption], where)


def _identifier(value: Any, key: str) -> int | str | None:
    """Return the number or text under a key of an object, None if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, int | str) else None


def _read_all(file: BinaryIO, path: str) -> bytes:
    """Return the content of a file. Raises DataError if it is too large."""
    chunks, size = [], 0
    with wrap_os_errors(path, "read"):
        while chunk := file.read(CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_JSON:
                raise DataError(f"{path} is larger than {MAX_JSON >> 20} MiB", "convert it to JSON lines (.jsonl)")
    return b"".join(chunks)


def _load_json(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError(f"{where}: not JSON: {error.msg}, {line}character {error.colno}") from error
    except (ValueError, RecursionError) as error:  # invalid UTF-8, a number with too many digits, or too deep nesting
        raise DataError(f"{where}: not JSON: {error}") from error


def _value(row: Any, key: str, where: str) -> Any:
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object with the key {key}, found {json_kind(row)}")
    if key not in row:
        raise DataError(f"{where}: no key {key}", did_you_mean(key, list(row)) or f"its keys: {', '.join(row)}")
    return row[key]


def _list(row: Any, key: str, where: str) -> list[Any]:
    value = _value(row, key, where)
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list under {key}, found {json_kind(value)}")
    return value


def _captions(image: Any, captions: list[Any], where: str) -> list[Texts]:
    """Return an image's name with each of its captions as single lines. Raises DataError naming `where`."""
    name = _text(image, "the name of the image", where)
    path = PurePosixPath(name)
    if not path.parts or "\0" in name:
        raise DataError(f"{where}: {name!r} is not the name of an image")
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{where}: image {name} is outside the directory of the images",
            "name images relative to that directory, which data.images sets",
        )
    return [(name, single_line(_text(caption, "the caption", where))) for caption in captions]


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: expected text as {what}, found {json_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair: "\\ud800"
        raise DataError(f"{where}: half of a surrogate pair in {what}") from error
    return value
