"""Interactive translation: prompt for a line at a terminal, translate it and show the result."""

import sys
from typing import TYPE_CHECKING, Any

from s2s.cli.console import note
from s2s.cli.output import draw_attention
from s2s.report.console import escape_control, out
from s2s.text.lines import decode_line

if TYPE_CHECKING:
    from s2s.decoding.streaming import StreamOptions
    from s2s.decoding.translator import Translator


def at_a_terminal() -> bool:
    """Return whether standard input and standard output are terminals."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()


def converse(translator: "Translator[Any]", stream: "StreamOptions", *, show: bool) -> None:
    """Ask, translate and show, until the input ends."""
    import readline  # noqa: F401 - gives `input` its editing and history

    from s2s.decoding.diagnostics import DIAGNOSTICS, diagnostics

    settings = translator.settings
    note(f"{settings.name}: a line, then Enter; Ctrl-D ends")
    number = 0
    while True:
        try:
            line = input(f"{settings.source_language or 'source'}> ")
        except EOFError:
            print()
            return
        text = decode_line(line.encode(errors="surrogateescape"), "", "replace")
        pending = translator.start(
            [text],
            nbest=stream.nbest,
            need_attention=stream.need_attention,
            line_numbers=[number],
            split=stream.splits(translator),
        )
        (found,) = pending.result()
        number += 1
        for translation in found:
            score = f"{translation.score:8.4f}  " if len(found) > 1 else ""
            out.print(score + escape_control(translation.text), soft_wrap=True)
        for name in diagnostics(text, found[0]):
            note(f"warning: translation {DIAGNOSTICS[name]}")
        if show:
            draw_attention(found[0], out)
