"""Files through a translator: lines in, as many lines out, in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from s2s.decoding.diagnostics import Diagnostics
from s2s.decoding.hypothesis import Engine
from s2s.decoding.translator import Translation, Translations, Translator
from s2s.errors import DataError
from s2s.io.inputs import open_input, read_lines, refuse_twice
from s2s.text.lines import decode_line, read_ahead

WINDOW = 2048  # lines read ahead, within which sentences are sorted by length
AHEAD = 1  # windows begun before the one that is written, so that an engine with threads of its own never waits

Lines = Sequence[tuple[str, list[Translation]]]  # of each line: source, translations


@dataclass(frozen=True, slots=True)
class Stream:
    """How files are translated: `nbest` translations of each line, attention weights with them, invalid UTF-8 refused
    (`strict`) or replaced, and the file that holds what each translation begins with, line by line.
    """

    nbest: int = 1
    need_attention: bool = False
    strict: bool = False
    prefixes: str | None = None


def translate_files(
    translator: Translator[Engine],
    inputs: Sequence[str],
    write: Callable[[Lines], None],
    stream: Stream,
    done: Callable[[int], None] = lambda _: None,
) -> Diagnostics:
    """Translate files one after the other; `write` gets lines in order, as soon as they are there, and `done` is told
    how many were written.

    Memory: a few windows of lines.
    Raises: DataError for invalid UTF-8 where it is refused, where a gzip file is damaged, where there are not as many
    prefixes as lines.
    """
    refuse_twice([*inputs, *([stream.prefixes] if stream.prefixes else [])])
    diagnostics = Diagnostics()
    with _beginnings(stream.prefixes) as prefixes:
        begun: deque[tuple[list[str], Translations]] = deque()

        def finish(left: int) -> None:
            while len(begun) > left:
                sources, translations = begun.popleft()
                lines = list(zip(sources, translations(), strict=True))
                for source, (best, *_) in lines:
                    diagnostics.add(source, best)
                write(lines)
                done(len(lines))

        first = 0
        for sources in _windows(inputs, stream.strict, diagnostics):
            if not sources:  # the input pauses
                finish(0)
                continue
            heads = prefixes(len(sources))
            translations = translator.begin(
                sources, nbest=stream.nbest, need_attention=stream.need_attention, prefixes=heads, first=first
            )
            begun.append((sources, translations))
            first += len(sources)
            finish(AHEAD)
        finish(0)
        prefixes(0)
    return diagnostics


def _windows(inputs: Sequence[str], strict: bool, diagnostics: Diagnostics) -> Iterator[list[str]]:
    """Yield the lines of files in groups; an empty group marks a pause of the input."""
    for name in inputs:
        with opened(name) as file:
            number = 0
            for lines in read_ahead(file, WINDOW, name):
                yield [
                    _decoded(line, f"{name}:{number + index}", strict, diagnostics)
                    for index, line in enumerate(lines, 1)
                ]
                number += len(lines)


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open an input by name; leave standard input open afterwards."""
    file = open_input(name)
    try:
        yield file
    finally:
        if name != "-":
            file.close()


def _decoded(line: bytes, where: str, strict: bool, diagnostics: Diagnostics) -> str:
    text = decode_line(line, where, "refuse" if strict else "replace")
    if not strict and "\ufffd" in text and text.encode() != line:
        diagnostics.add_invalid(where)
    return text


@contextmanager
def _beginnings(name: str | None) -> Iterator[Callable[[int], list[str]]]:
    """Yield a function that returns the next `count` lines of a file; with 0 it checks that none are left.

    Raises: DataError where there are fewer, or more.
    """
    if name is None:
        yield lambda _: []
        return
    with opened(name) as file:
        lines, taken = read_lines(file, name), 0

        def following(count: int) -> list[str]:
            nonlocal taken
            numbered = enumerate(islice(lines, count or 1), taken + 1)
            found = [decode_line(line, f"{name}:{number}", "refuse") for number, line in numbered]
            taken += len(found)
            if len(found) != count:
                raise DataError(
                    f"{name} has {'more' if count == 0 else 'fewer'} lines than there are to translate ({taken:,} read)"
                )
            return found

        yield following


def read_texts(name: str) -> list[str]:
    """Read the lines of a file as text. Raises DataError for invalid UTF-8."""
    with opened(name) as file:
        return [
            decode_line(line, f"{name}:{number}", "refuse") for number, line in enumerate(read_lines(file, name), 1)
        ]
