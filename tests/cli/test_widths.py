"""Reports in narrow terminals and in a pipe: every figure whole."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from s2s.report.console import out
from s2s.training.runs.record import runs_directory

FIGURE = re.compile(r"(?<![\w.,:/-])[−+-]?\d[\d,.:]*(?![\w,:/])")
REPORTS = [
    "models list",
    "models show numbers-attention",
    "runs list",
    "runs show RUN",
    "runs plot RUN",
    "recipes list",
    "explain training",
    "explain training.lr",
    "compare numbers-bottleneck numbers-attention",
    "evaluate numbers-attention test.de test.en --device cpu",
    "score numbers-attention test.de test.en",
    "tokenizer inspect numbers-attention test.de",
    "tokenizer compare test.de --models numbers-attention,numbers-bottleneck",
]
OF_RECIPES = ["data inspect numbers/attention", "plan numbers/attention"]


def figures(text: str) -> set[str]:
    """Return the figures of a report: `1,234`, `0.5`, `2:15`."""
    return {figure.rstrip(".,:") for figure in FIGURE.findall(text)}


@pytest.fixture
def report(trained_home: Path, tiny: list[str], in_directory: Path, run: Callable) -> Callable[[str, int], str]:
    """`report(command, columns)`: what a command prints at a terminal of some columns; 0: in a pipe."""
    (in_directory / "test.de").write_text("drei\nvierzig\nzwölftausenddreihundertfünfundvierzig\n")
    (in_directory / "test.en").write_text("three\nforty\ntwelve thousand three hundred and forty-five\n")
    (name,) = [path.name for path in runs_directory().iterdir() if "attention" in path.name]
    settings = [part for setting in tiny for part in ("--set", setting)]

    def call(command: str, columns: int) -> str:
        with pytest.MonkeyPatch.context() as patch:
            if columns:
                patch.setattr(out, "_force_terminal", True)
                patch.setattr(out, "width", columns)
            done = run(*command.replace("RUN", name).split(), *(settings if command in OF_RECIPES else ()))
        assert done.code == 0, done.err
        return done.out

    return call


@pytest.mark.parametrize("command", [*REPORTS, *OF_RECIPES])
def test_figures_are_whole(command: str, report: Callable[[str, int], str]) -> None:
    wide = figures(report(command, 200))
    assert wide, "nothing to check"
    for columns in (40, 60, 0):
        assert figures(report(command, columns)) >= wide
