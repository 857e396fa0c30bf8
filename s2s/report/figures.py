"""The figures of a comparison, in the words that every report shows them in: terminal, HTML page and Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from s2s.metrics.length_buckets import ByLength
from s2s.metrics.scores import Score
from s2s.metrics.significance import Difference

MISSING = "–"
COLUMNS = 3  # with more systems than this, each has a line instead of a column


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Attention weights [T, S] of one sentence, with the tokens of its target (T) and of its source (S)."""

    weights: Sequence[Sequence[float]]
    source: Sequence[str]
    target: Sequence[str]


@dataclass(frozen=True, slots=True)
class System:
    """One model of a comparison: what it is, what it cost, how well it does. What is not known is None."""

    name: str
    network: str  # in words: "GRU, additive attention"
    parameters: int
    scores: dict[str, Score]
    perplexity: float | None = None  # per target token, teacher-forced
    updates: int | None = None
    seconds: float | None = None  # of training
    tokens_per_second: float | None = None  # target tokens, in training
    difference: Difference | None = None  # of its BLEU to the first system's


@dataclass(frozen=True, slots=True)
class Example:
    """One test sentence with each system's output and, where a system attends, its heat-map."""

    source: str
    reference: str
    outputs: Sequence[str]
    heatmaps: Sequence[HeatMap | None] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a report shows of systems that translated the same test set; the first is the baseline."""

    title: str
    task: str  # "numbers · de → en · test: 1,000 pairs, none of them in training"
    systems: Sequence[System]
    by_length: Sequence[ByLength] = ()
    examples: Sequence[Example] = ()
    notes: Sequence[str] = ()  # how it was decoded, on what machine, what to be wary of
    commands: Sequence[str] = ()  # to try next


@dataclass(frozen=True, slots=True)
class TableCell:
    """A figure as text, what is said beside it, and whether it is the best of its row."""

    text: str
    note: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a cell for each system."""

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
    if best is first:
        return f"None scores above {first.name}."
    if best.difference is None:
        return None
    doubt = "" if best.difference.p_value < 0.05 else ", which may be chance"
    reached = f"{best.scores['bleu'].value:.1f} BLEU, {best.difference.difference:.1f} above {first.name}"
    return f"{best.name} reaches {reached}{doubt} ({best.difference.probability})."


def signed(points: float) -> str:
    """`+37.5`, `−0.4`, `±0.0`."""
    text = f"{points:+.1f}"
    return "±0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def duration(seconds: float) -> str:
    """`48 s`, `3 min 20 s`, `1 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(count: int, thing: str) -> str:
    """`1 update`, `1,200 updates`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


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
    """Build a row of `values`; `best` (max or min) marks the best unless all look alike."""
    texts = [MISSING if value is None else show(value) for value in values]
    known = [(value, text) for value, text in zip(values, texts, strict=True) if value is not None]
    winner = best([value for value, _ in known]) if best and len({text for _, text in known}) > 1 else None
    return Row(label, group, tuple(TableCell(text, best=winner is not None and text == show(winner)) for text in texts))


def _steps(systems: Sequence[System]) -> list[Row]:
    """Of more than two systems, the gain of each in BLEU over the one before it."""
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
