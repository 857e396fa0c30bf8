"""Where translations go: text or JSON lines, attention beside them, pictures on the terminal."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from s2s.errors import ResourceError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_writer, refuse_existing
from s2s.report.console import err

if TYPE_CHECKING:
    from s2s.decoding.streaming import Lines
    from s2s.decoding.translator import Translation


@contextmanager
def writing(path: str | None, inputs: Sequence[str], force: bool) -> Iterator[BinaryIO | None]:
    """Open an output by name: `-` is standard output; a file appears complete or not at all; devices and pipes are
    written to directly.

    Raises: UsageError if the output may not be written.
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
            raise UsageError(f"{path} is an input as well as the output", "give the output another name")
        refuse_existing(output, force)
        with atomic_writer(output) as file:
            yield file


def refuse_one_place(*outputs: str | None) -> None:
    """Raise UsageError where two outputs would go to the same place."""
    given = [path for path in outputs if path is not None]
    places = {path if path == "-" else str(Path(path).resolve()) for path in given}
    if len(places) < len(given):
        raise UsageError(f"two outputs cannot both go to {given[-1]}", "give them different names")


class TranslationWriter:
    """Writes lines' translations as they come, and flushes after each group."""

    def __init__(
        self,
        text: BinaryIO | None,
        attention: BinaryIO | None,
        *,
        svg: bool,
        as_json: bool,
        with_attention: bool,
        show: bool,
        nbest: bool,
    ) -> None:
        """Set what is written.

        `svg`: draw the attention of the first line instead of writing JSON lines; `with_attention`: add attention to
        the JSON output; `show`: draw it on the terminal; `nbest`: write all translations of a line.
        """
        self.text = text
        self.attention = attention
        self.svg = svg
        self.as_json = as_json
        self.with_attention = with_attention
        self.show = show
        self.nbest = nbest
        self.number = 0
        self.drawn = False

    def write(self, lines: "Lines") -> None:
        """Write the translations of a group of lines, in order."""
        for source, found in lines:
            self.number += 1
            if self.text:
                with wrap_os_errors("the translations", "write"):
                    self.text.write(self._written(source, found).encode() + b"\n")
            if self.show and found[0].attention:
                if self.text:
                    self.text.flush()
                self._draw(found[0])
            if self.attention:
                self._write_attention(self.attention, source, found[0])
        if self.text:
            with wrap_os_errors("the translations", "write"):
                self.text.flush()

    def _written(self, source: str, found: "list[Translation]") -> str:
        """Return the lines to write for a source line: its best translation, or all of them."""
        if self.as_json:
            return json.dumps(self._values(source, found), ensure_ascii=False)
        if self.nbest:
            return "\n".join(f"{self.number}\t{one.score:.4f}\t{one.text}" for one in found)
        return found[0].text

    def _values(self, source: str, found: "list[Translation]") -> dict[str, Any]:
        """Return what `--json` prints for a line."""
        from s2s.decoding.diagnostics import diagnostics

        values: dict[str, Any] = _main_values(found[0]) | {"warnings": diagnostics(source, found[0])}
        if self.nbest:
            values["nbest"] = [_main_values(one) for one in found]
        if self.with_attention and found[0].attention:
            values |= {"source_tokens": found[0].source_tokens, "attention": found[0].attention}
        return values

    def _write_attention(self, file: BinaryIO, source: str, translation: "Translation") -> None:
        from s2s.report.heatmap import svg_heatmap

        if not self.svg:
            values: dict[str, Any] = {"source_text": source, "target_text": translation.text}
            if translation.attention:
                tokens = {"source": translation.source_tokens, "target": translation.tokens}
                values |= tokens | {"attention": translation.attention}
            file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
        elif not self.drawn and translation.attention:
            self.drawn = True
            file.write(svg_heatmap(translation.attention, translation.source_tokens, translation.tokens).encode())

    def _draw(self, translation: "Translation") -> None:
        from s2s.report.heatmap import terminal_heatmap

        picture = terminal_heatmap(translation.attention, translation.source_tokens, translation.tokens, err.width)
        err.print(picture)


def _main_values(translation: "Translation") -> dict[str, Any]:
    return {"text": translation.text, "score": round(translation.score, 6), "tokens": translation.tokens}
