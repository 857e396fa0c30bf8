"""Caption image files: as many captions as images, in order, in constant memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from s2s.data.image_inputs import read_input
from s2s.data.sources import Image
from s2s.decoding.engine import Engine
from s2s.decoding.streaming import TranslatedLine
from s2s.decoding.translation import Translation
from s2s.decoding.translator import Translator
from s2s.devices.runtime import usable_threads
from s2s.errors import S2SError
from s2s.recipe.image_size import ImageSize

WINDOW = 1024  # images that are captioned together, at most
WINDOW_BYTES = 2**26  # of their pixels
SMALL_FILE = 2**15  # bytes; decoding fewer takes less time than handing them to a thread


@dataclass(slots=True)
class CaptionCounts:
    """Numbers of captioned images, and of those with problems."""

    images: int = 0
    unreadable: int = 0
    first_unreadable: str = ""  # why the first of them could not be read
    truncated: int = 0
    looping: int = 0

    def warnings(self) -> list[str]:
        """Return one warning per kind of problem."""
        problems = {
            f"cannot be read, captions left empty; first: {self.first_unreadable}": self.unreadable,
            "caption truncated at the length limit (--max-length)": self.truncated,
            "caption repeating itself (--no-repeat-ngram)": self.looping,
        }
        return [f"{count:,} of {self.images:,} images: {text}" for text, count in problems.items() if count]

    def add(self, caption: Translation) -> None:
        """Count an image and its best caption."""
        self.images += 1
        self.truncated += caption.truncated
        self.looping += caption.looping


def caption_files(
    translator: Translator[Engine],
    paths: Iterable[str],
    write: Callable[[Sequence[TranslatedLine]], None],
    *,
    nbest: int = 1,
    need_attention: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> CaptionCounts:
    """Caption image files; pass groups of images to `write` in order, as soon as they are finished.

    The caption of an image that cannot be read is empty. `progress` is called with the number of captions written.
    Memory: at most two windows of images.
    """
    size = translator.settings.image_size
    assert size is not None
    counts = CaptionCounts()
    pool = ThreadPoolExecutor(usable_threads())
    try:
        for group in _read_ahead(pool, paths, size):
            images = _decoded(group, size, counts)
            pending = translator.start(
                list(images.values()),
                nbest=nbest,
                need_attention=need_attention,
                line_numbers=[counts.images + number for number in images],
            )
            captions = dict(zip(images, pending.result(), strict=True))
            lines = [
                TranslatedLine(path, captions.get(number, [Translation("")]), images.get(number))
                for number, (path, _) in enumerate(group)
            ]
            for line in lines:
                counts.add(line.translations[0])
            write(lines)
            progress(len(lines))
    finally:
        pool.shutdown(cancel_futures=True)  # when interrupted, images that were read ahead are not decoded
    return counts


Reading = tuple[str, "Future[Image] | None"]  # None: to be read when it is needed


def _read_ahead(pool: ThreadPoolExecutor, paths: Iterable[str], size: ImageSize) -> Iterator[list[Reading]]:
    """Yield windows of images; their large files and those of the next window are already being decoded."""
    remaining = iter(paths)
    count = max(1, min(WINDOW, WINDOW_BYTES // size.bytes))

    def start() -> list[Reading]:
        return [
            (path, pool.submit(read_input, path, size) if _is_large(path) else None)
            for path in islice(remaining, count)
        ]

    window = start()
    while window:
        following = start()
        yield window
        window = following


def _is_large(path: str) -> bool:
    try:
        return Path(path).stat().st_size > SMALL_FILE
    except OSError:  # reading it will tell why
        return False


def _decoded(group: Sequence[Reading], size: ImageSize, counts: CaptionCounts) -> dict[int, Image]:
    """Return the readable images of a window by their position, and count the others."""
    images = {}
    for number, (path, reading) in enumerate(group):
        try:
            images[number] = reading.result() if reading else read_input(path, size)
        except S2SError as error:
            counts.unreadable += 1
            counts.first_unreadable = counts.first_unreadable or error.message
    return images
