"""Write a comparison: the table as Markdown, with each system's stored result as JSON beside it."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from s2s.comparison.stored import StoredResult
from s2s.io.atomic import write_output
from s2s.report.figures import Comparison
from s2s.report.markdown import markdown_comparison


def write_results(path: Path, comparison: Comparison, results: Sequence[StoredResult]) -> list[Path]:
    """Write the table to `path` and stored results to the directory `results` beside it; return the files written."""
    write_output(path, markdown_comparison(comparison).encode())
    return [path, *(stored.write(path.parent / "results") for stored in results)]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison's figures as JSON values, without the pixels of examples."""
    examples = [replace(example, image=None) for example in comparison.examples]
    return asdict(replace(comparison, examples=examples))
