"""Translate files line by line: as many lines out as in, in order, in constant memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from s2s.data.sources import Image
from s2s.decoding.diagnostics import DiagnosticCounts
from s2s.decoding.engine import Engine
from s2s.decoding.translation import Translation
from s2s.decoding.translator import PendingTranslations, Translator
from s2s.errors import DataError
from s2s.io.inputs import read_lines, refuse_twice, shown_name
from s2s.text.lines import decode_line, read_ahead
from s2s.text.parallel import open_side

WINDOW = 2048  # lines read ahead, within which sentences are sorted by length
PENDING_WINDOWS = 1  # windows started ahead of the one being written, so that an engine's threads never wait


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How files are translated."""

    nbest: int = 1  # translations per line
    need_attention: bool = False  # whether translations carry attention
    strict: bool = False  # refuse invalid UTF-8; any problem counted is an error at the end
    prefixes: str | None = None  # file with the start of each line's translation
    split: Literal["auto", "on", "off"] = "auto"  # translate the sentences of a line one by one

    def splits(self, translator: Translator[Engine]) -> bool:
        """Return whether the sentences of a line are translated one by one.

        With `auto`, they are if the model was trained on single sentences, unless lines have prefixes, several
        translations or attention, which belong to a whole line.
        """
        if self.split != "auto":
            return self.split == "on"
        return translator.single_sentences and not (self.nbest > 1 or self.need_attention or self.prefixes)


@dataclass(frozen=True, slots=True)
class TranslatedLine:
    """A line and its translations, or an image and its captions."""

    source: str  # the line, or the file of the image
    translations: list[Translation]  # best first
    image: Image | None = None


def translate_files(
    translator: Translator[Engine],
    inputs: Sequence[str],
    write: Callable[[Sequence[TranslatedLine]], None],
    options: StreamOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> DiagnosticCounts:
    """Translate files one after the other; pass groups of lines to `write` in order, as soon as they are finished.

    `progress` is called with the number of lines written. Memory: a few windows of lines.
    Raises: DataError for invalid UTF-8 if `strict`, for what is not UTF-8 text at all, for a damaged compressed file,
    and if the number of prefixes differs from the number of lines.
    """
    refuse_twice([*inputs, *([options.prefixes] if options.prefixes else [])])
    counts = DiagnosticCounts()
    windows = _windows(inputs, options.strict, counts)
    with _open_prefixes(options.prefixes) as prefixes:
        for pending in _translate_windows(translator, windows, prefixes, options):
            pairs = zip(pending.lines, pending.result(), strict=True)
            lines = [TranslatedLine(source, translations) for source, translations in pairs]
            for line in lines:
                counts.add(line.source, line.translations[0])
            write(lines)
            progress(len(lines))
    return counts


def _translate_windows(
    translator: Translator[Engine], windows: Iterable[list[str]], prefixes: "_Prefixes | None", options: StreamOptions
) -> Iterator[PendingTranslations]:
    """Yield the translations of windows in order, with PENDING_WINDOWS already started; all at a pause of the input."""
    pending: deque[PendingTranslations] = deque()
    first_line = 0
    for lines in windows:
        if lines:
            pending.append(
                translator.start(
                    lines,
                    nbest=options.nbest,
                    need_attention=options.need_attention,
                    prefixes=prefixes.read(len(lines)) if prefixes else (),
                    line_numbers=range(first_line, first_line + len(lines)),
                    split=options.splits(translator),
                )
            )
            first_line += len(lines)
        while len(pending) > (PENDING_WINDOWS if lines else 0):
            yield pending.popleft()
    yield from pending
    if prefixes:
        prefixes.check_end()


def _windows(inputs: Sequence[str], strict: bool, counts: DiagnosticCounts) -> Iterator[list[str]]:
    """Yield the lines of files in groups; an empty group marks a pause of the input."""
    for name in inputs:
        with open_side(name) as file:
            first, shown = 1, shown_name(name)
            for lines in read_ahead(file, WINDOW, shown):
                yield [_decode(line, f"{shown}:{number}", strict, counts) for number, line in enumerate(lines, first)]
                first += len(lines)


def _decode(line: bytes, where: str, strict: bool, counts: DiagnosticCounts) -> str:
    text = decode_line(line, where, "refuse" if strict else "replace")
    if not strict and "\ufffd" in text and text.encode() != line:
        counts.add_invalid(where)
    return text


class _Prefixes:
    """The lines of a file of prefixes."""

    def __init__(self, name: str, lines: Iterator[bytes]) -> None:
        self._name = name
        self._lines = lines
        self._count = 0  # lines read

    def read(self, count: int) -> list[str]:
        """Return the next `count` lines. Raises DataError if there are fewer."""
        numbered = enumerate(islice(self._lines, count), self._count + 1)
        prefixes = [decode_line(line, f"{self._name}:{number}", "refuse") for number, line in numbered]
        self._count += len(prefixes)
        if len(prefixes) < count:
            raise DataError(f"{self._name} has fewer lines than the input: {self._count:,}")
        return prefixes

    def check_end(self) -> None:
        """Raise DataError if lines are left."""
        if next(self._lines, None) is not None:
            raise DataError(f"{self._name} has more lines than the input: over {self._count:,}")


@contextmanager
def _open_prefixes(name: str | None) -> Iterator[_Prefixes | None]:
    if name is None:
        yield None
        return
    with open_side(name) as file:
        yield _Prefixes(shown_name(name), read_lines(file, shown_name(name)))
