"""A measurement of scaling as tables, sentences, Markdown and panels to draw."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from s2s.comparison.scaling.law import Interval
from s2s.comparison.scaling.measure import Measurement, ScalingRun
from s2s.report.format import duration
from s2s.report.markdown import markdown_table
from s2s.report.scaling import ScalingPanel, ScalingPoint


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table whose first column names its rows and whose others are numbers."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def as_json(found: Measurement) -> dict[str, Any]:
    """Return the measurement as JSON values."""
    return asdict(found) | {"error": found.error, "as_predicted": found.as_predicted}


def markdown_scaling(found: Measurement) -> str:
    """Return the measurement as Markdown, without a title, to be part of a RESULTS.md."""
    parts = []
    for table in tables(found):
        parts += [f"### {table.title}", markdown_table(table.heads, table.rows, transposed=False)]
    parts += ["### Law and prediction", *sentences(found)]
    return "\n\n".join(parts) + "\n"


def tables(found: Measurement) -> list[ReportTable]:
    """Return the ladder, the check of learning rates, and the architectures at equal FLOPs."""
    excess = "above the task's entropy"
    sizes = ["model", "parameters", "encoder", "decoder", "MFLOP/token", "lr", "loss", excess]
    ladder = ReportTable("Ladder", [*sizes, "by the law", "tokens/s", "time"], [])
    for run in [*found.runs, found.outcome]:
        fitted = found.law.loss(run.encoder, run.decoder)
        ladder.rows.append(
            [*_cells(run, found), f"{fitted:.4f}", f"{run.tokens_per_second:,.0f}", duration(run.seconds)]
        )
    rates = ReportTable("Learning rates", sizes, [_cells(run, found) for group in found.lr_checks for run in group])
    pairs = [_cells(run, found) for pair in found.decoder_only for run in pair]
    return [ladder, rates, ReportTable("Encoder–decoder and decoder-only at equal FLOPs", sizes, pairs)]


def sentences(found: Measurement) -> list[str]:
    """Return the law, its floor beside the known entropy, the check of learning rates, and the prediction's outcome."""
    law, sealed = found.law, found.prediction
    own = {name: _between(interval, 3) for name, interval in found.intervals.items()}
    within = "inside" if found.as_predicted else "outside"
    tokens, seconds = found.outcome.tokens, sum(run.seconds for run in _all_runs(found))
    return [
        f"L = {law.alpha:.3g} · Ne^−{law.pe:.3f} · Nd^−{law.pd:.3f} + {law.floor:.3f}, fitted to {len(found.runs)} "
        f"models, each trained on {tokens:,} target tokens: pe {own['pe']}, pd {own['pd']}, L∞ {own['floor']} "
        "(95 % intervals, bootstrap over the models).",
        f"The task's entropy is {found.entropy:.4f} nats per target token, and the grammar's own loss on the test set "
        f"{found.test_entropy:.4f}. L∞ is {law.floor - found.entropy:+.4f} from the entropy.",
        *_best_rates(found.lr_checks),
        f"Predicted for {sealed.model} ({sealed.encoder + sealed.decoder:,} parameters) on {sealed.time}, before it "
        f"was trained: {sealed.loss:.4f} ({sealed.low:.4f} to {sealed.high:.4f}); sha256 {found.digest}.",
        f"Outcome: {found.outcome.loss:.4f}, {found.error:+.4f} from the prediction and {within} its interval.",
        f"Training took {duration(seconds)} in all; {found.code}; {found.machine}.",
    ]


def panels(found: Measurement) -> list[ScalingPanel]:
    """Return what to draw: the loss by size with the prediction, and the two architectures by compute."""
    lines = {"entropy": found.entropy, "L∞": found.law.floor}
    sealed, large = found.prediction, found.outcome
    interval = (sealed.low, sealed.high)
    by_size = {
        "encoder–decoder": [_point(run, run.parameters) for run in found.runs],
        "predicted": [ScalingPoint(sealed.model, large.parameters, sealed.loss, interval)],
        "outcome": [_point(large, large.parameters)],
    }
    by_compute = {
        "encoder–decoder": [_point(run, run.flops) for run in [*found.runs, large]],
        "decoder-only": [_point(run, run.flops) for _, run in found.decoder_only],
    }
    return [
        ScalingPanel("loss in nats per token by parameters", "parameters without embeddings", by_size, lines),
        ScalingPanel("loss in nats per token by compute", "training FLOPs per target token", by_compute, lines),
    ]


def _all_runs(found: Measurement) -> list[ScalingRun]:
    runs = [*found.runs, *(other for _, other in found.decoder_only), found.outcome]
    runs += [run for group in found.lr_checks for run in group if run not in found.runs]
    return runs


def _point(run: ScalingRun, x: float) -> ScalingPoint:
    return ScalingPoint(run.model, x, run.loss)


def _cells(run: ScalingRun, found: Measurement) -> list[str]:
    return [
        run.model,
        f"{run.parameters:,}",
        f"{run.encoder:,}" if run.encoder else "",
        f"{run.decoder:,}",
        f"{run.flops / 1e6:.2f}",
        f"{run.lr:.2g}",
        f"{run.loss:.4f}",
        f"{run.loss - found.entropy:.4f}",
    ]


def _best_rates(groups: Sequence[Sequence[ScalingRun]]) -> list[str]:
    """Say which learning rate is best at each size that several were tried at."""
    parts = []
    for group in groups:
        best = min(group, key=lambda run: run.loss)
        rates = ", ".join(f"{run.lr:.2g}" for run in group)
        parts.append(f"{best.lr:.2g} is the best of {rates} at width {best.width}")
    return [f"Learning rates: {'; '.join(parts)}."] if parts else []


def _between(interval: Interval, digits: int) -> str:
    low, high = interval
    return f"{low:.{digits}f} to {high:.{digits}f}"
