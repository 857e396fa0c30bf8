"""The consoles that everything prints to: results on standard output, everything else on standard error."""

from rich.console import Console


class PlainConsole(Console):
    """A console that prints texts as they are: no markup, emoji codes or guessed colors. A closed pipe stays an error:

    rich would end the process with exit code 1, where `s2s.cli.main` has a code of its own.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Re-raise the BrokenPipeError that rich is handling."""
        raise  # noqa: PLE0704


out = PlainConsole()
err = PlainConsole(stderr=True)


def escape_control(text: str) -> str:
    """Return text with control characters spelled out, so that a file's name cannot drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
