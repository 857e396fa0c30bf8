"""Homes for trials, and the sum of what was killed at the end of the output."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trials import context

KINDS = ("kills", "power failures", "resumes", "mismatches")


@pytest.fixture(scope="session", autouse=True)
def imported() -> None:
    """The process that trials are forked from has imported everything before the first of them is timed."""
    process = context.Process(target=int)
    process.start()
    process.join()


@pytest.fixture
def new_home(trained: Path, tmp_path: Path) -> Callable[[], Path]:
    """`new_home()`: a home of its own in which the corpus of the tiny settings is prepared, and nothing is trained."""
    made: list[Path] = []

    def make() -> Path:
        home = tmp_path / f"home-{len(made)}"
        shutil.copytree(trained / "corpora", home / "corpora")
        made.append(home)
        return home

    return make


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """`count("kills")`: one more of a kind, for the line at the end."""
    return lambda kind: record_property(f"faults.{kind}", 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often something was killed and gone on with, and how often that ended in other weights."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    told = [name for report in reports if report.when == "call" for name, _ in report.user_properties]
    if any(name.startswith("faults.") for name in told):
        sums = ", ".join(f"{told.count(f'faults.{kind}')} {kind}" for kind in KINDS)
        terminalreporter.write_line(f"faults: {sums}")
