"""Fixtures for trials, and a summary of the injected faults at the end of the output."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import context

KINDS = ("kills", "power failures", "resumes", "mismatches")


@pytest.fixture(scope="session", autouse=True)
def imported() -> None:
    """Start the fork server, so that its imports are done before the first trial is timed."""
    process = context.Process(target=int)
    process.start()
    process.join()


@pytest.fixture
def new_home(trained: Path, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that makes a new home with the prepared corpus of the tiny settings, and no runs."""
    made: list[Path] = []

    def make() -> Path:
        home = tmp_path / f"home-{len(made)}"
        shutil.copytree(trained / "corpora", home / "corpora")
        made.append(home)
        return home

    return make


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that counts a fault for the summary: `count("kills")`."""
    return lambda kind: record_property(f"faults.{kind}", 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often a training was killed and resumed, and how often that ended in different weights."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    names = [name for report in reports if report.when == "call" for name, _ in report.user_properties]
    if any(name.startswith("faults.") for name in names):
        sums = ", ".join(f"{names.count(f'faults.{kind}')} {kind}" for kind in KINDS)
        terminalreporter.write_line(f"faults: {sums}")
