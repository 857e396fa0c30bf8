"""The table of a comparison and what is said of it, formatted alike for every report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

from s2s.metrics.ranking import SIGNIFICANT
from s2s.metrics.scores import LOWER_IS_BETTER, SCORE_NAMES, format_score
from s2s.metrics.significance import show_p_value
from s2s.report.figures import Comparison, Difference
from s2s.report.format import duration, signed

Section = Literal["network", "scores", "difference", "outputs", "attention", "training"]
MISSING = "–"
FAULTS = {  # rows of the table, by the keys of `System.faults`
    "empty": "empty",
    "repetition": "repetitions",
    "copy": "copied from source",
    "omission": "omissions",
}
ATTENTION = {  # rows of the table and formats, by the keys of `System.attention`
    "effective_positions": ("positions attended", "{:.2f}"),
    "coverage": ("source covered", "{:.1f} %"),
    "error_rate": ("alignment error", "{:.1f} %"),
}
COLUMNS = 3  # more systems than this get a line each instead of a column
PERCENT = {"exact", "pointing_near", "pointing_inside"}  # scores that are shown with a percent sign


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell of the table."""

    text: str
    note: str = ""  # shown beside the text
    best: bool = False  # best of its row


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, with a cell for each system."""

    label: str
    group: Section
    cells: tuple[TableCell, ...]


def table(comparison: Comparison) -> list[Row]:
    """Return the rows of the comparison's table, without rows for which no system has a value."""
    systems = comparison.systems
    rows = [
        Row("network", "network", tuple(TableCell(system.network or MISSING) for system in systems)),
        _row("parameters", "network", [system.parameters for system in systems], _count),
        *(row for metric in SCORE_NAMES for row in _scores(comparison, metric)),
        *(_extra_scores(comparison, metric) for metric in _extra_metrics(comparison)),
        _row("perplexity", "scores", [system.perplexity for system in systems], _perplexity, min),
        *difference_rows(comparison),
        *output_rows(comparison),
        *training_rows(comparison),
    ]
    return [row for row in rows if any(cell.text != MISSING for cell in row.cells)]


def difference_rows(comparison: Comparison) -> list[Row]:
    """Return what is known of the differences in the comparison's score from the first system."""
    found = [system.difference for system in comparison.systems]

    def row(label: str, value: Callable[[Difference], float | None], show: Callable[[float], str]) -> Row:
        return _row(label, "difference", [value(one) if one else None for one in found], show)

    shown = [f"{signed(one.estimate.value)} ± {one.estimate.interval:.1f}" if one else MISSING for one in found]
    return [
        Row("difference", "difference", tuple(map(TableCell, shown))),
        row("by sentences", lambda one: one.estimate.sentences, "{:.2f}".format),
        row("by training", lambda one: one.estimate.seeds, "{:.2f}".format),
        row("detectable", lambda one: one.estimate.detectable, "{:.1f}".format),
        row("bootstrap", lambda one: one.bootstrap.p_value if one.bootstrap else None, show_p_value),
        row("randomization", lambda one: one.randomization.p_value if one.randomization else None, show_p_value),
        row("people agree", lambda one: one.agreement, "{:.0f} %".format),
        _row("group", "difference", [system.group for system in comparison.systems], _count),
    ]


def output_rows(comparison: Comparison) -> list[Row]:
    """Return what the outputs and the attention of the systems are like."""
    systems = comparison.systems
    faults = {kind: [system.faults.get(kind) for system in systems] for kind in FAULTS}
    rows = [_row(FAULTS[kind], "outputs", values, _mean_count) for kind, values in faults.items() if any(values)]
    for kind, (label, shown) in ATTENTION.items():
        rows.append(_row(label, "attention", [system.attention.get(kind) for system in systems], shown.format))
    return rows


def training_rows(comparison: Comparison) -> list[Row]:
    """Return how the systems were trained."""
    systems = comparison.systems
    several = any(system.seeds > 1 for system in systems)
    seeds = [system.seeds if several and system.network else None for system in systems]
    speed = [one.tokens / one.seconds if one.tokens and one.seconds else None for one in systems]
    return [
        _row("seeds", "training", seeds, _count),
        _row("updates", "training", [system.updates for system in systems], _count),
        _row("tokens", "training", [system.tokens for system in systems], _count),
        _row("training time", "training", [system.seconds for system in systems], duration),
        _row("tokens/s", "training", speed, _count),
    ]


def signatures(comparison: Comparison) -> list[str]:
    """Return the distinct signatures of all scores and of the significance test, in the table's order."""
    found = [score.signature for system in comparison.systems for score in system.scores.values()]
    differences = [system.difference for system in comparison.systems if system.difference]
    tests = [test for one in differences for test in (one.bootstrap, one.randomization) if test]
    return list(dict.fromkeys([*found, *(test.signature for test in tests)]))


def headline(comparison: Comparison) -> str | None:
    """Summarize the best system by score against the first in one sentence; None if there is nothing to say."""
    metric = comparison.metric
    scored = [system for system in comparison.systems if metric in system.scores]
    if len(scored) < 2:
        return None
    first, best = comparison.systems[0], max(scored, key=lambda system: system.scores[metric].value)
    score = f"{best.scores[metric].value:.1f} {SCORE_NAMES[metric]}"
    if best is first and len({f"{system.scores[metric].value:.1f}" for system in scored}) == 1:
        return f"All score the same: {score}."
    if best is first:
        return f"None scores above {first.name}."
    if best.difference is None:
        return None
    gain, p_value = best.difference.estimate.value, best.difference.estimate.p_value
    if f"{abs(gain):.1f}" == "0.0":
        return f"{best.name} and {first.name} score the same: {score}."
    doubt = "" if p_value < SIGNIFICANT else ", which may be chance"
    return f"{best.name} reaches {score}, {gain:.1f} above {first.name}{doubt} ({show_p_value(p_value)})."


def _count(value: float) -> str:
    return f"{round(value):,}"


def _mean_count(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _perplexity(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _row(
    label: str,
    group: Section,
    values: Sequence[float | None],
    show: Callable[[float], str],
    best: Callable[[list[float]], float] | None = None,
) -> Row:
    """Build a row of `values`; `best` (max or min) marks the best unless all look the same."""
    texts = [MISSING if value is None else show(value) for value in values]
    known = [(value, text) for value, text in zip(values, texts, strict=True) if value is not None]
    winner = best([value for value, _ in known]) if best and len({text for _, text in known}) > 1 else None
    return Row(label, group, tuple(TableCell(text, best=winner is not None and text == show(winner)) for text in texts))


def _scores(comparison: Comparison, metric: str) -> list[Row]:
    """Return the row of a score, with differences if systems are compared by it; rows of intervals and gains follow."""
    systems = comparison.systems
    values = [system.scores[metric].value if metric in system.scores else None for system in systems]
    best = None if metric == "distinct" else min if metric in LOWER_IS_BETTER else max
    row = _row(SCORE_NAMES[metric], "scores", values, partial(_score, metric), best)
    spread = [system.deviations.get(metric) for system in systems]
    cells = [
        cell if deviation is None else replace(cell, text=f"{cell.text} ± {format_score(metric, deviation)}")
        for cell, deviation in zip(row.cells, spread, strict=True)
    ]
    if metric != comparison.metric:
        return [replace(row, cells=tuple(cells))]
    differences = [system.difference for system in systems]
    found = [one.estimate if one else None for one in differences]
    notes = [f"{signed(one.value)}  {show_p_value(one.p_value)}" if one else "" for one in found]
    noted = tuple(replace(cell, note=note) for cell, note in zip(cells, notes, strict=True))
    intervals = [system.estimate.interval if system.estimate else None for system in systems]
    return [
        replace(row, cells=noted),
        _row("95 % interval", "scores", intervals, "± {:.1f}".format),
        *_gains([value for value in values if value is not None], len(systems)),
    ]


def _extra_metrics(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(metric for system in comparison.systems for metric in system.extra))


def _extra_scores(comparison: Comparison, metric: str) -> Row:
    """Return the row of a score from a table, with its differences from the first system."""
    found = [system.extra.get(metric) for system in comparison.systems]
    differences = [one.difference if one else None for one in found]
    notes = [f"{_extra_score(one.value, '+')}  {show_p_value(one.p_value)}" if one else "" for one in differences]
    row = _row(metric, "scores", [one.value if one else None for one in found], _extra_score)
    return replace(row, cells=tuple(replace(cell, note=note) for cell, note in zip(row.cells, notes, strict=True)))


def _extra_score(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4g}".replace("-", "−")


def _score(metric: str, value: float) -> str:
    return f"{format_score(metric, value)}{' %' if metric in PERCENT else ''}"


def _gains(values: Sequence[float], systems: int) -> list[Row]:
    """Return a row with the gain of each system over the previous one, for more than two systems with a score."""
    if systems < 3 or len(values) < systems:
        return []
    return [Row("gain", "scores", (TableCell(MISSING), *(TableCell(signed(b - a)) for a, b in pairwise(values))))]
