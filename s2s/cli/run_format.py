"""Format runs for `s2s runs`, as text and as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from s2s.io.paths import directory_size
from s2s.report.format import counted, duration, format_size, local_time, use_command
from s2s.training.runs.record import Line, Run, number

FIGURES = {
    "loss": "loss {:.3f}",
    "bleu": "BLEU {:.1f}",
    "chrf": "chrF2 {:.1f}",
    "lr": "learning rate {:.1e}",
    "gradient_norm": "gradient norm {:.2f}",
    "tokens_per_second": "{:,.0f} tokens/s",
}


def summary_json(run: Run) -> dict[str, Any]:
    """Return a run's summary as JSON values: size in bytes, `done` as a fraction."""
    return {
        "run": run.name,
        "model": run.record.name,
        "state": run.state,
        "published": run.record.published,
        "process": run.process,
        "updates": run.updates,
        "done": run.done,
        "best": run.metrics.best,
        "began": run.record.created,
        "bytes": directory_size(run.directory),
        "directory": str(run.directory),
    }


def run_json(run: Run) -> dict[str, Any]:
    """Return everything about a run as JSON values."""
    recipe, record = run.recipe(), run.record
    return summary_json(run) | {
        "description": recipe.description,
        "architecture": recipe.model.describe(),
        "key": record.key,
        "corpus": record.corpus,
        "device": record.device,
        "precision": record.precision,
        "threads": record.threads,
        "training": _last(run.metrics.training),
        "validation": _last(run.metrics.validation),
        "checkpoints": run.checkpoints,
    }


def row(run: Run) -> list[str]:
    """Summarize a run: name, model, state, updates, best validation, start, size."""
    best = run.metrics.best
    return [
        run.name,
        run.record.name,
        _state(run),
        f"{run.updates:,}",
        _figures(best or {}, ("loss", "bleu")) or "–",
        local_time(run.record.created),
        format_size(directory_size(run.directory)),
    ]


def describe_run(run: Run) -> list[tuple[str, str]]:
    """Return the lines that show a run, as labels and texts; a text is empty if unknown."""
    recipe, record, metrics = run.recipe(), run.record, run.metrics
    process = f" (process {run.process})" if run.process else ""
    about = f": {recipe.description}" if recipe.description else ""
    names = sorted(path.name for path in run.directory.iterdir() if not path.name.startswith("."))
    return [
        ("state", f"{_state(run)}{process}"),
        ("recipe", f"{recipe.name}{about}"),
        ("network", recipe.model.describe()),
        ("corpus", record.corpus[:12]),
        ("computed", f"on {record.device} in {record.precision}, {counted(record.threads, 'thread')}"),
        ("began", local_time(record.created)),
        ("training", _format_metrics(_last(metrics.training))),
        ("validation", _format_metrics(_last(metrics.validation))),
        ("best", _best(run)),
        ("signature", str((metrics.best or {}).get("signature", ""))),
        ("checkpoints", ", ".join(f"{update:,}" for update in run.checkpoints)),
        ("files", f"{run.directory}: {', '.join(names)} ({format_size(directory_size(run.directory))})"),
    ]


def _state(run: Run) -> str:
    """`finished: numbers-attention:1`, `unfinished, 41 %`."""
    if run.state == "finished":
        return f"finished: {run.record.published}"
    return run.state if run.done is None else f"{run.state}, {100 * run.done:.0f} %"


def next_command(run: Run) -> str:
    """Return the next command to run for a run."""
    if run.state == "training":
        return f"s2s runs plot {run.name}"
    if not run.record.published:
        return f"s2s resume {run.name}"
    return use_command(run.record.published, of_images=run.recipe().model.of_images)


def _last(lines: Sequence[Line]) -> Line | None:
    return lines[-1] if lines else None


def _best(run: Run) -> str:
    best = run.metrics.best
    if best is None:
        return ""
    kept = f"; checkpoints/{best['update']:08d}" if best["update"] in run.checkpoints else ""
    return f"{_format_metrics(best)}{kept}"


def _format_metrics(line: Line | None) -> str:
    """Return `update 250: loss 3.904, learning rate 1.2e-03, 3,062 tokens/s, after 3 min 05 s`, from a line."""
    if line is None:
        return ""
    seconds = number(line, "seconds")
    parts = (_figures(line, FIGURES), "" if seconds is None else f"after {duration(seconds)}")
    return f"update {line['update']:,}: {', '.join(filter(None, parts))}"


def _figures(line: Line, keys: Iterable[str]) -> str:
    found = {key: number(line, key) for key in keys}
    return ", ".join(FIGURES[key].format(figure) for key, figure in found.items() if figure is not None)
