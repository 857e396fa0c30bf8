"""Figures of a comparison, formatted alike for every report: terminal, HTML page and Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from s2s.metrics.length_buckets import LengthBuckets
from s2s.metrics.scores import Score
from s2s.metrics.significance import Difference
from s2s.report.format import duration, signed

MISSING = "–"
COLUMNS = 3  # more systems than this get a line each instead of a column


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Attention of one sentence."""

    attention: Sequence[Sequence[float]]  # [T, S]
    source: Sequence[str]  # S tokens
    target: Sequence[str]  # T tokens


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
    difference: Difference | None = None  # of BLEU from the first system
    code: str = ""  # version and commit that trained it
    command: str = ""  # command that repeats it
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One test sentence with the outputs and heat maps of all systems."""

    source: str
    reference: str
    outputs: Sequence[str]
    heatmaps: Sequence[HeatMap | None] = ()  # None for a system without attention
    title: str = "example"  # why it is shown


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
        _scores(systems, "BLEU", "bleu", "{:.1f}", max),
        *_steps(systems),
        _scores(systems, "chrF2", "chrf", "{:.1f}", max),
        _scores(systems, "TER", "ter", "{:.1f}", min),
        _scores(systems, "exact match", "exact", "{:.1f} %", max),
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
    """Summarize the best system by BLEU against the first in one sentence; None if there is nothing to say."""
    scored = [system for system in comparison.systems if "bleu" in system.scores]
    if len(scored) < 2:
        return None
    first, best = comparison.systems[0], max(scored, key=lambda system: system.scores["bleu"].value)
    if best is first and len({f"{system.scores['bleu'].value:.1f}" for system in scored}) == 1:
        return f"All score the same: {first.scores['bleu'].value:.1f} BLEU."
    if best is first:
        return f"None scores above {first.name}."
    if best.difference is None:
        return None
    if f"{abs(best.difference.difference):.1f}" == "0.0":
        return f"{best.name} and {first.name} score the same: {best.scores['bleu'].value:.1f} BLEU."
    doubt = "" if best.difference.p_value < 0.05 else ", which may be chance"
    reached = f"{best.scores['bleu'].value:.1f} BLEU, {best.difference.difference:.1f} above {first.name}"
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


def _steps(systems: Sequence[System]) -> list[Row]:
    """Return a row with the gain in BLEU of each system over the previous one, for more than two systems."""
    bleu = [system.scores["bleu"].value for system in systems if "bleu" in system.scores]
    if len(systems) < 3 or len(bleu) < len(systems):
        return []
    return [Row("gain", "scores", (TableCell(MISSING), *(TableCell(signed(b - a)) for a, b in pairwise(bleu))))]


def _scores(systems: Sequence[System], label: str, metric: str, form: str, best: Callable[[list[float]], float]) -> Row:
    values = [system.scores[metric].value if metric in system.scores else None for system in systems]
    row = _row(label, "scores", values, form.format, best)
    if metric != "bleu":
        return row
    notes = [
        f"{signed(system.difference.difference)}  {system.difference.probability}" if system.difference else ""
        for system in systems
    ]
    return Row(
        label, "scores", tuple(TableCell(c.text, note, c.best) for c, note in zip(row.cells, notes, strict=True))
    )
