"""Figures of a comparison, formatted alike for every report: terminal, HTML page and Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2s.metrics.length_buckets import LengthBuckets
from s2s.metrics.scores import SCORE_NAMES, Headline, Reference, Score, format_score
from s2s.metrics.significance import Difference
from s2s.report.format import duration, signed

Pixels = NDArray[np.uint8]
MISSING = "–"
COLUMNS = 3  # more systems than this get a line each instead of a column
PERCENT = {"exact", "pointing_near", "pointing_inside"}  # scores that are shown with a percent sign


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Attention of one sentence, or of the caption of one image."""

    attention: Sequence[Sequence[float]]  # [T, S]
    source: Sequence[str]  # S tokens; empty for an image
    target: Sequence[str]  # T tokens
    grid: tuple[int, int] | None = None  # of an image: height and width of the grid of its S positions


@dataclass(frozen=True, slots=True)
class System:
    """One system of a comparison; unknown values are None."""

    name: str
    network: str  # "GRU encoder; GRU decoder with additive attention"
    parameters: int
    scores: dict[str, Score]
    perplexity: float | None = None  # per target token, teacher-forced; None if vocabularies differ
    bits_per_byte: float | None = None  # of the references, teacher-forced
    updates: int | None = None
    seconds: float | None = None  # of training
    tokens_per_second: float | None = None  # target tokens, in training
    difference: Difference | None = None  # of the comparison's metric from the first system
    code: str = ""  # version and commit that trained it
    command: str = ""  # command that repeats it
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One test sentence or image with the outputs and heat maps of all systems."""

    source: str  # the sentence, or the name of the image
    reference: Reference  # the text, or several
    outputs: Sequence[str]
    heatmaps: Sequence[HeatMap | None] = ()  # None for a system without attention
    title: str = "example"  # why it is shown
    image: Pixels | None = None  # the source [height, width, 3], if it is an image


@dataclass(frozen=True, slots=True)
class Comparison:
    """Content of a report about systems that translated the same test set; the first is the baseline."""

    title: str
    task: str  # "numbers · de → en · test: 1,000 pairs, none of them in training"
    systems: Sequence[System]
    by_length: Sequence[LengthBuckets] = ()
    examples: Sequence[Example] = ()
    notes: Sequence[str] = ()  # decoding options, differences between recipes
    commands: Sequence[str] = ()  # suggested next commands
    metric: Headline = "bleu"  # score that systems are compared by


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
    group: Literal["network", "scores", "training"]
    cells: tuple[TableCell, ...]


def table(comparison: Comparison) -> list[Row]:
    """Return the rows of the comparison's table, without rows for which no system has a value."""
    systems = comparison.systems
    rows = [
        Row("network", "network", tuple(TableCell(system.network) for system in systems)),
        _row("parameters", "network", [system.parameters for system in systems], _count),
        *(row for metric in SCORE_NAMES for row in _scores(comparison, metric)),
        _row("perplexity", "scores", [system.perplexity for system in systems], _perplexity, min),
        _row("bits per byte", "scores", [system.bits_per_byte for system in systems], "{:.3f}".format, min),
        _row("updates", "training", [system.updates for system in systems], _count),
        _row("training time", "training", [system.seconds for system in systems], duration),
        _row("tokens/s", "training", [system.tokens_per_second for system in systems], _count),
    ]
    return [row for row in rows if any(cell.text != MISSING for cell in row.cells)]


def signatures(comparison: Comparison) -> list[str]:
    """Return the distinct signatures of all scores and of the significance test, in the table's order."""
    found = [score.signature for system in comparison.systems for score in system.scores.values()]
    found += [system.difference.signature for system in comparison.systems if system.difference]
    return list(dict.fromkeys(found))


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
    if f"{abs(best.difference.difference):.1f}" == "0.0":
        return f"{best.name} and {first.name} score the same: {score}."
    doubt = "" if best.difference.p_value < 0.05 else ", which may be chance"
    reached = f"{score}, {best.difference.difference:.1f} above {first.name}"
    return f"{best.name} reaches {reached}{doubt} ({best.difference.probability})."


def _count(value: float) -> str:
    return f"{round(value):,}"


def _perplexity(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _row(
    label: str,
    group: Literal["network", "scores", "training"],
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
    """Return the row of a score; that of the comparison's metric has differences, and another row the gains."""
    systems = comparison.systems
    values = [system.scores[metric].value if metric in system.scores else None for system in systems]
    best = {"ter": min, "distinct": None}.get(metric, max)
    row = _row(SCORE_NAMES[metric], "scores", values, partial(_score, metric), best)
    if metric != comparison.metric:
        return [row]
    differences = [system.difference for system in systems]
    notes = [f"{signed(one.difference)}  {one.probability}" if one else "" for one in differences]
    cells = tuple(replace(cell, note=note) for cell, note in zip(row.cells, notes, strict=True))
    return [replace(row, cells=cells), *_gains([value for value in values if value is not None], len(systems))]


def _score(metric: str, value: float) -> str:
    return f"{format_score(metric, value)}{' %' if metric in PERCENT else ''}"


def _gains(values: Sequence[float], systems: int) -> list[Row]:
    """Return a row with the gain of each system over the previous one, for more than two systems with a score."""
    if systems < 3 or len(values) < systems:
        return []
    return [Row("gain", "scores", (TableCell(MISSING), *(TableCell(signed(b - a)) for a, b in pairwise(values))))]
