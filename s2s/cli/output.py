"""Write translations as text or JSON lines, and attention as JSON lines or pictures."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from s2s.errors import ResourceError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_writer, refuse_existing
from s2s.io.json_values import format_json
from s2s.io.paths import output_file
from s2s.report.console import err

if TYPE_CHECKING:
    from s2s.decoding.streaming import TranslatedLine
    from s2s.decoding.translator import Translation


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
        with atomic_writer(output_file(output)) as file:
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


class TranslationWriter:
    """Writes the translations of lines and flushes after each group."""

    def __init__(self, text: BinaryIO | None, attention: BinaryIO | None, options: OutputOptions) -> None:
        self.text = text
        self.attention = attention
        self.options = options
        self.line_number = 0
        self.svg_written = False

    def write(self, lines: "Sequence[TranslatedLine]") -> None:
        """Write the translations of a group of lines, in order."""
        for line in lines:
            self.line_number += 1
            best = line.translations[0]
            if self.text:
                with wrap_os_errors("the translations", "write"):
                    self.text.write(self._format(line).encode() + b"\n")
            if self.options.show_attention and best.attention:
                if self.text:
                    self.text.flush()
                self._draw(best)
            if self.attention:
                self._write_attention(self.attention, line.source, best)
        if self.text:
            with wrap_os_errors("the translations", "write"):
                self.text.flush()

    def _format(self, line: "TranslatedLine") -> str:
        """Return the output for a source line: its best translation, or all of them."""
        if self.options.as_json:
            return format_json(self._json_values(line))
        if self.options.nbest:
            return "\n".join(f"{self.line_number}\t{one.score:.4f}\t{one.text}" for one in line.translations)
        return line.translations[0].text

    def _json_values(self, line: "TranslatedLine") -> dict[str, Any]:
        """Return the JSON value of a line for `--json`."""
        from s2s.decoding.diagnostics import diagnostics

        best = line.translations[0]
        values: dict[str, Any] = _summary(best) | {"diagnostics": diagnostics(line.source, best)}
        if best.parts:
            values["parts"] = [asdict(part) for part in best.parts]
        if self.options.nbest:
            values["nbest"] = [_summary(translation) for translation in line.translations]
        if self.options.attention_in_json and best.attention:
            values |= {"source_tokens": best.source_tokens, "attention": best.attention}
        return values

    def _write_attention(self, file: BinaryIO, source: str, translation: "Translation") -> None:
        from s2s.report.heatmap import svg_heatmap

        if not (self.options.attention or "").endswith(".svg"):
            values: dict[str, Any] = {"source": source, "text": translation.text}
            if translation.attention:
                values["source_tokens"] = translation.source_tokens
                values["tokens"] = translation.tokens
                values["attention"] = translation.attention
            file.write(format_json(values).encode() + b"\n")
        elif not self.svg_written and translation.attention:
            self.svg_written = True
            file.write(svg_heatmap(translation.attention, translation.source_tokens, translation.tokens).encode())

    def _draw(self, translation: "Translation") -> None:
        from s2s.report.heatmap import terminal_heatmap

        picture = terminal_heatmap(translation.attention, translation.source_tokens, translation.tokens, err.width)
        err.print(picture)


def _summary(translation: "Translation") -> dict[str, Any]:
    return {"text": translation.text, "score": round(translation.score, 6), "tokens": translation.tokens}
