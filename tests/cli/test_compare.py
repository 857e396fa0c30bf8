"""What `s2s compare` and `evaluate -o` write is there before they print."""

from collections.abc import Callable
from pathlib import Path

import pytest


def closed_pipe(*_: object) -> None:
    raise BrokenPipeError


def test_results_are_written_before_they_are_printed(
    run: Callable, in_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.de").write_text("drei\n")
    Path("a.en").write_text("three\n")
    compare = ("compare", "--hyp", "other=a.en", "--test", "mine=a.de:a.en")
    monkeypatch.setattr("s2s.report.terminal.print_comparison", closed_pipe)
    assert run(*compare).code == 141
    assert Path("comparison/results/other-mine.json").exists()
    Path("comparison").rename("other")
    Path("comparison").touch()
    monkeypatch.setattr("s2s.comparison.compare.compare", lambda *_, **__: pytest.fail("compared"))
    assert run(*compare).code == 2


def test_outputs_are_written_before_scores_are_printed(
    run: Callable, trained_home: Path, in_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.de").write_text("drei\n")
    Path("a.en").write_text("three\n")
    monkeypatch.setattr("s2s.cli.commands.evaluate.print_json", closed_pipe)
    assert run("evaluate", "numbers-attention", "a.de", "a.en", "-o", "out.en", "--json").code == 141
    assert Path("out.en").read_text().count("\n") == 1
