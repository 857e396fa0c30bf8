"""Write translations as text or JSON lines, and attention as JSON lines or pictures."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from s2s.cli.console import note
from s2s.decoding.json_values import attention_values, line_values, place
from s2s.errors import ResourceError, UsageError, wrap_os_errors
from s2s.io.atomic import output_writer, refuse_existing
from s2s.io.json_values import format_json
from s2s.report.console import err
from s2s.report.marking import printable

if TYPE_CHECKING:
    from rich.console import Console

    from s2s.data.sources import Image
    from s2s.decoding.streaming import TranslatedLine
    from s2s.decoding.translation import Translation


# A page of images with maps of attention; its content may only use its own styles and images.
PAGE_START = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Attention over images</title>
<style>body{max-width:60rem;margin:2rem auto;padding:0 1rem;font-family:system-ui,sans-serif}
h2{font-size:1rem}svg{max-width:100%;height:auto}</style>
"""
PAGE_END = "</html>\n"


@contextmanager
def open_output(path: str | None, inputs: Sequence[str], force: bool) -> Iterator[BinaryIO | None]:
    """Open an output by name: `-` is standard output; a file appears complete or not at all; devices and pipes are
    written directly.

    Raises: UsageError if the output is also an input, or exists without `force`.
    """
    if path is None:
        yield None
    elif path == "-":
        if sys.stdout is None:
            raise ResourceError("cannot write standard output: it is closed")
        yield sys.stdout.buffer
    elif Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        with wrap_os_errors(path, "write"), Path(path).open("wb") as file:
            yield file
    else:
        output = Path(path)
        if any(name != "-" and Path(name).exists() and output.exists() and output.samefile(name) for name in inputs):
            raise UsageError(f"{path} is both input and output", "choose another output")
        refuse_existing(output, force)
        with output_writer(output) as file:
            yield file


def refuse_same_output(*outputs: str | None) -> None:
    """Raise UsageError if two outputs have the same destination."""
    paths = [path for path in outputs if path is not None]
    destinations = {path if path == "-" else str(Path(path).resolve()) for path in paths}
    if len(destinations) < len(paths):
        raise UsageError(f"two outputs cannot both go to {paths[-1]}", "choose different outputs")


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Output options: what to write for each line, and where."""

    text: str  # file for translations; `-` is standard output
    attention: str | None = None  # file for attention: JSON lines, or (.svg) a picture of the first non-blank line
    as_json: bool = False  # write translations as JSON lines
    attention_in_json: bool = False  # add attention to them
    show_attention: bool = False  # draw the attention of every line on the terminal
    nbest: bool = False  # write all translations of a line instead of the best
    of_images: bool = False  # whether lines are images


class TranslationWriter:
    """Writes the translations of lines and flushes after each group."""

    def __init__(self, text: BinaryIO | None, attention: BinaryIO | None, options: OutputOptions) -> None:
        self.text = text
        self.attention = attention
        self.options = options
        self.line_number = 0
        self.picture_written = False

    def __enter__(self) -> Self:
        """Start the page of attention, if it is one."""
        if self.attention and self._suffix == ".html":
            self.attention.write(PAGE_START.encode())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the page of attention, if it is one."""
        if kind is None and self.attention and self._suffix == ".html":
            self.attention.write(PAGE_END.encode())

    @property
    def _suffix(self) -> str:
        return Path(self.options.attention or "").suffix

    def write(self, lines: "Sequence[TranslatedLine]") -> None:
        """Write the translations of a group of lines, in order."""
        for line in lines:
            self.line_number += 1
            best = line.translations[0]
            if self.text:
                with wrap_os_errors("the translations", "write"):
                    self.text.write(self._format(line).encode() + b"\n")
            if self.options.show_attention and best.with_attention:
                if self.text:
                    self.text.flush()
                draw_attention(best, err)
            if self.attention:
                self._write_attention(self.attention, line, best)
        if self.text:
            with wrap_os_errors("the translations", "write"):
                self.text.flush()

    def _format(self, line: "TranslatedLine") -> str:
        """Return the output for a source line: its best translation, or all of them."""
        if self.options.as_json:
            options = self.options
            values = line_values(line, nbest=options.nbest, attention=options.attention_in_json)
            return format_json(({"image": line.source} if options.of_images else {}) | values)
        if self.options.nbest:
            return "\n".join(f"{self.line_number}\t{one.score:.4f}\t{one.text}" for one in line.translations)
        return line.translations[0].text

    def _write_attention(self, file: BinaryIO, line: "TranslatedLine", translation: "Translation") -> None:
        from s2s.report.heatmap import svg_heatmap

        if line.image and translation.grid and self._suffix in {".svg", ".html"}:
            self._write_maps(file, line.source, line.image, translation)
        elif self._suffix != ".svg":
            values = {"source": line.source, "text": translation.text} | attention_values(translation)
            if translation.parts:
                values["parts"] = [place(part) | attention_values(part.translation) for part in translation.parts]
            file.write(format_json(values).encode() + b"\n")
        elif not self.picture_written and translation.with_attention:
            self.picture_written = True
            first = translation.with_attention[0]
            file.write(svg_heatmap(first.attention, first.source_tokens, first.tokens).encode())
            if translation.parts:
                note(f"{self.options.attention} shows the first of {len(translation.parts)} parts of its line")

    def _write_maps(self, file: BinaryIO, name: str, image: "Image", caption: "Translation") -> None:
        """Write an image with its maps: to a page, or the first one as an SVG."""
        from html import escape

        from s2s.report.image_maps import svg_image_maps

        assert caption.grid is not None
        if self._suffix == ".svg" and self.picture_written:
            return
        self.picture_written = True
        svg = svg_image_maps(image.picture, caption.attention, caption.tokens, caption.grid)
        if self._suffix == ".html":
            svg = f"<h2>{escape(printable(name))}</h2>\n<p>{escape(printable(caption.text))}</p>\n{svg}\n"
        file.write(svg.encode())


def draw_attention(translation: "Translation", console: "Console") -> None:
    """Draw the attention of a translation or its parts, or the maps of an image's caption."""
    from s2s.report.figures import HeatMap
    from s2s.report.image_maps import terminal_attention

    for one in translation.with_attention:
        heatmap = HeatMap(one.attention, one.source_tokens, one.tokens, one.grid)
        console.print(terminal_attention(heatmap, console.width))
