"""What commands print with: data goes to standard output, everything else to standard error."""

import json
from typing import Any

from rich.console import Console
from rich.text import Text


class PlainConsole(Console):
    """A console that prints texts as they are: no markup, emoji codes or guessed colours. A closed pipe stays an error:

    rich would end the process with exit code 1, where `s2s.cli.main` has a code of its own.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles a BrokenPipeError: pass it on."""
        raise  # noqa: PLE0704


out = PlainConsole()
err = PlainConsole(stderr=True)


def escape_control(text: str) -> str:
    """`text` with control characters spelled out, so that a file's name cannot drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def note(text: str) -> None:
    """A line for the user, on standard error, never broken at the terminal's width."""
    err.print(escape_control(text), soft_wrap=True)


def print_error(message: str, hint: str | None) -> None:
    """An error and its hint, on standard error."""
    err.print(Text.assemble(("s2s: error: ", "bold red"), escape_control(message)), soft_wrap=True)
    if hint:
        err.print(Text.assemble(("hint: ", "bold"), escape_control(hint)), soft_wrap=True)


def print_json(value: Any) -> None:
    """`value` as JSON, on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
