"""Write comparisons into a directory: page, tables, picture, and stored results."""

import os
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from s2s.comparison.compare import Compared
from s2s.comparison.stored import StoredResult
from s2s.errors import ResourceError
from s2s.io.atomic import refuse_existing, write_json, write_output
from s2s.io.paths import check_output_directory
from s2s.metrics.variance import Estimate
from s2s.report.figures import Comparison
from s2s.report.markdown import markdown_comparison
from s2s.report.page import comparison_page
from s2s.report.picture import svg_picture

PAGE, TABLES, PICTURE, RESULTS = "report.html", "RESULTS.md", "result.svg", "results"


def check_results_directory(directory: Path, force: bool) -> None:
    """Check that results can be written to a directory, before hours of training; it need not exist.

    Raises: UsageError if it is a file, or holds page, tables or picture without `force`; ResourceError if it cannot be
    written to.
    """
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    for path in (existing, directory / RESULTS):
        check_output_directory(path)
    if not os.access(existing, os.W_OK):
        raise ResourceError(f"cannot write to {existing}", "name another directory with --out")
    for name in (PAGE, TABLES, PICTURE):
        refuse_existing(directory / name, force)


def write_results(directory: Path, compared: Sequence[Compared]) -> list[Path]:
    """Write `report.html`, `RESULTS.md`, `result.svg` and stored results in `results/`; return the files written.

    Existing files of these names are replaced; other files are left alone, also results of other systems. The picture
    is of the first test set.
    """
    comparisons = [one.comparison for one in compared]
    files = {
        PAGE: comparison_page(comparisons),
        TABLES: "\n".join(map(markdown_comparison, comparisons)),
        PICTURE: svg_picture(comparisons[0]),
    }
    for name, content in files.items():
        write_output(directory / name, content.encode())
    stored: dict[Path, StoredResult] = {}
    for system in (system for one in compared for system in one.systems):
        for run in system.runs:
            path = directory / RESULTS / run.file_name(with_seed=len(system.runs) > 1)
            while path in stored:  # x:1 and x-1
                path = path.with_stem(f"{path.stem}-2")
            stored[path] = run
    for path, run in stored.items():
        write_json(path, asdict(run))
    return [*(directory / name for name in files), *stored]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison's figures as JSON values, without the pixels of examples and the weights of models."""
    examples = [replace(example, image=None) for example in comparison.examples]
    found = _plain(replace(comparison, examples=examples, demo=None))
    assert isinstance(found, dict)
    del found["demo"]
    return found


def _plain(value: Any) -> Any:
    """Return dataclasses as JSON values; estimates with interval, p-value and detectable difference."""
    if isinstance(value, Estimate):
        derived = {"interval": value.interval, "p_value": value.p_value, "detectable": value.detectable}
        return asdict(value) | derived
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    return [_plain(own) for own in value] if isinstance(value, (list, tuple)) else value
