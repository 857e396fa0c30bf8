"""Decode the images of a corpus, in several threads, and store them; count those that are damaged."""

import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from s2s.data.image_store import image_writer
from s2s.data.readers.pair import Pair
from s2s.data.sources import Features, Pixels
from s2s.devices.runtime import usable_threads
from s2s.errors import DataError, UsageError
from s2s.recipe.data import DataOptions
from s2s.recipe.kinds import CaptionDataOptions
from s2s.report.format import counted

log = logging.getLogger(__name__)

CHUNK = 256  # images in memory
PROGRESS_SECONDS = 30  # between two messages
NAMED = 5  # damaged images in messages


@dataclass(slots=True)
class StoredImages:
    """Where the images of a corpus are stored, by the source of their pairs."""

    rows: dict[str, int] = field(default_factory=dict)  # the same for images of the same content
    damaged: dict[str, str] = field(default_factory=dict)  # reason why it could not be read

    def intact(self, pairs: Iterable[Pair], damaged: Callable[[Pair], None] = lambda _: None) -> Iterator[Pair]:
        """Yield the pairs whose image is stored; call `damaged` with each of the others."""
        for pair in pairs:
            if pair.source in self.rows:
                yield pair
            else:
                damaged(pair)

    def by_content(self, pair: Pair) -> Pair:
        """Return the pair with a source that is the same for images of the same content."""
        return pair._replace(source=f"image {self.rows[pair.source]}")


def store_images(directory: Path, data: DataOptions, names: Iterable[str]) -> StoredImages:
    """Store the images with these names, pixels scaled to `data.image_size`.

    Raises: DataError if more than a share `data.max_damaged` of them are damaged.
    """
    size = data.image_size
    assert size is not None
    stored = StoredImages()
    read = functools.partial(_try_to_read, _image_reader(data), stored.damaged)
    remaining = iter(dict.fromkeys(names))
    logged = time.monotonic()
    with image_writer(directory, size) as writer, ThreadPoolExecutor(usable_threads()) as pool:
        while chunk := list(itertools.islice(remaining, CHUNK)):
            images = {
                name: pixels for name, pixels in zip(chunk, pool.map(read, chunk), strict=True) if pixels is not None
            }
            stored.rows.update(zip(images, writer.add(list(images.values())), strict=True))
            if time.monotonic() - logged > PROGRESS_SECONDS:
                logged = time.monotonic()
                log.info(f"reading images: {len(stored.rows):,} done")
    if isinstance(data, CaptionDataOptions):
        _check_damaged(stored, data.max_damaged)
    return stored


def _image_reader(data: DataOptions) -> "Callable[[str], Pixels | Features]":
    """Return the function that reads, or draws, the image of a pair's source."""
    from s2s.data.generators.scenes import draw_scene
    from s2s.data.image_inputs import read_input
    from s2s.data.readers.images import image_path

    if not isinstance(data, CaptionDataOptions):
        return draw_scene
    assert data.image_size
    size = data.image_size
    return lambda name: read_input(image_path(data, name), size).pixels


def _try_to_read(
    read: "Callable[[str], Pixels | Features]", damaged: dict[str, str], name: str
) -> "Pixels | Features | None":
    """Return the pixels of an image, or None if it is damaged, with the reason in `damaged`."""
    try:
        return read(name)
    except (DataError, UsageError) as error:
        damaged[name] = error.message
        return None


def _check_damaged(stored: StoredImages, allowed: float) -> None:
    """Warn of damaged images. Raises DataError if they are more than a share `allowed`."""
    count, total = len(stored.damaged), len(stored.damaged) + len(stored.rows)
    if not count:
        return
    named = "; ".join(sorted(stored.damaged.values())[:NAMED])
    message = f"{count:,} of {counted(total, 'image')} cannot be read: {named}{'; …' if count > NAMED else ''}"
    if count > allowed * total:
        raise DataError(message, f"repair them, or allow more: data.max_damaged is {allowed:g}")
    log.warning("%s; their captions are dropped", message)
