"""Results that stay: the table as Markdown, with each system's cell as JSON beside it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from s2s.comparison.stored import Cell
from s2s.io.atomic import write_bytes
from s2s.report.figures import Comparison
from s2s.report.markdown import markdown_comparison


def write_results(path: Path, comparison: Comparison, cells: Sequence[Cell]) -> list[Path]:
    """Write the table to `path` and the cells into the directory `cells` beside it; returns what was written."""
    write_bytes(path, markdown_comparison(comparison).encode())
    return [path, *(cell.write(path.parent / "cells") for cell in cells)]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison's figures as JSON values."""
    return asdict(comparison)
