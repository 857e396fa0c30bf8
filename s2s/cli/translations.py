"""Where translations go: text or JSON lines, attention beside them, pictures on the terminal."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from s2s.cli.console import err
from s2s.errors import UsageError
from s2s.files import atomic_writer, refuse_existing

if TYPE_CHECKING:
    from s2s.decoding.translator import Translation


@contextmanager
def writing(path: str | None, inputs: Sequence[str], force: bool) -> Iterator[BinaryIO | None]:
    """An output by name: `-` is standard output; a file appears complete or not at all.

    Raises UsageError where it may not be.
    """
    if path is None:
        yield None
    elif path == "-":
        yield sys.stdout.buffer
    else:
        output = Path(path)
        if any(name != "-" and Path(name).exists() and output.exists() and output.samefile(name) for name in inputs):
            raise UsageError(f"{path} is an input as well as the output", "give the output another name")
        refuse_existing(output, force)
        with atomic_writer(output) as file:
            yield file


class TranslationWriter:
    """Writes pairs of source and translation as they come, and flushes after each group."""

    def __init__(
        self, text: BinaryIO | None, weights: BinaryIO | None, *, svg: bool, as_json: bool, show: bool
    ) -> None:
        self.text = text
        self.weights = weights
        self.svg = svg
        self.as_json = as_json
        self.show = show
        self.drawn = False

    @property
    def wants_weights(self) -> bool:
        """Whether attention is asked for."""
        return self.show or self.weights is not None

    def write(self, pairs: Sequence[tuple[str, "Translation"]]) -> None:
        """Write a group of pairs, in order."""
        for source, translation in pairs:
            self._write_text(translation)
            if self.show and translation.weights:
                self._draw(translation)
            if self.weights:
                self._write_weights(self.weights, source, translation)
        if self.text:
            self.text.flush()

    def _write_text(self, translation: "Translation") -> None:
        line = json.dumps(translation.as_json(), ensure_ascii=False) if self.as_json else translation.text
        if self.text:
            self.text.write(line.encode() + b"\n")
        if self.text and self.show:
            self.text.flush()

    def _write_weights(self, file: BinaryIO, source: str, translation: "Translation") -> None:
        from s2s.report.heatmap import svg_heatmap

        if not self.svg:
            values = {"source_text": source, "target_text": translation.text} | translation.attention()
            file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
        elif not self.drawn and translation.weights:
            self.drawn = True
            picture = svg_heatmap(translation.weights, translation.source_pieces, translation.target_pieces)
            file.write(picture.encode())

    def _draw(self, translation: "Translation") -> None:
        from s2s.report.heatmap import terminal_heatmap

        picture = terminal_heatmap(translation.weights, translation.source_pieces, translation.target_pieces, err.width)
        err.print(picture)
