"""Write comparisons into a directory: page, tables, picture, and stored results."""

from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from s2s.comparison.compare import Compared
from s2s.io.atomic import refuse_existing, write_output
from s2s.io.paths import check_output_directory
from s2s.metrics.variance import Estimate
from s2s.report.figures import Comparison
from s2s.report.markdown import markdown_comparison
from s2s.report.page import comparison_page
from s2s.report.picture import svg_picture

PAGE, TABLES, PICTURE, RESULTS = "report.html", "RESULTS.md", "result.svg", "results"


def refuse_existing_results(directory: Path, force: bool) -> None:
    """Raise UsageError if `directory` is a file, or holds page, tables or picture without `--force`."""
    check_output_directory(directory)
    for name in (PAGE, TABLES, PICTURE):
        refuse_existing(directory / name, force)


def write_results(directory: Path, compared: Sequence[Compared]) -> list[Path]:
    """Write `report.html`, `RESULTS.md`, `result.svg` and stored results in `results/`; return the files written.

    Existing files of these names are replaced; other files are left alone. The picture is of the first test set.
    """
    comparisons = [one.comparison for one in compared]
    files = {
        PAGE: comparison_page(comparisons),
        TABLES: "\n".join(map(markdown_comparison, comparisons)),
        PICTURE: svg_picture(comparisons[0]),
    }
    for name, content in files.items():
        write_output(directory / name, content.encode())
    stored = [
        run.write(directory / RESULTS, with_seed=len(system.runs) > 1)
        for one in compared
        for system in one.systems
        for run in system.runs
    ]
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
