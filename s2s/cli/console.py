"""Print notes, errors and JSON, and show log records."""

import logging
from typing import Any

from rich.text import Text

from s2s.io.json_values import format_json
from s2s.report.console import err, escape_control


class ConsoleHandler(logging.Handler):
    """Print log records on standard error, warnings marked as such."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record as one line. A closed pipe raises an error."""
        note(("warning: " if record.levelno >= logging.WARNING else "") + record.getMessage())


def show_log(*, verbose: bool = False) -> None:
    """Print log messages on standard error; with `verbose`, debug messages too."""
    logger = logging.getLogger("s2s")
    if not any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(ConsoleHandler())
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def note(text: str) -> None:
    """Print a line on standard error, never broken at the terminal's width."""
    err.print(escape_control(text), soft_wrap=True)


def print_error(message: str, hint: str | None) -> None:
    """Print an error and its hint on standard error."""
    err.print(Text.assemble(("s2s: error: ", "bold red"), escape_control(message)), soft_wrap=True)
    if hint:
        err.print(Text.assemble(("hint: ", "bold"), escape_control(hint)), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    print(format_json(value, indent=2))
