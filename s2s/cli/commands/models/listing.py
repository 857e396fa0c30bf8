"""`s2s models list` and `show`: the registry's models and their cards."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, ModelReference
from s2s.cli.tables import one_line, print_table
from s2s.report.console import out
from s2s.report.format import counted, format_size, use_command

if TYPE_CHECKING:
    from s2s.registry.card import Card, ScoreRecord
    from s2s.registry.store import Registry
    from s2s.registry.version import Version

NUMBERS = {"parameters"}  # columns that are set flush right


def list_models(
    sort: Annotated[
        str,
        typer.Option(
            "--sort", metavar="KEY", help="name, published, parameters, or a score to show: bleu, chrf, ter, exact, …"
        ),
    ] = "name",
    as_json: AsJson = False,
) -> None:
    """List the models in the registry, each with its newest version and its first score.

    Exits with an error code if a model cannot be read, after listing the others: 4 if it is damaged, 5 if it is not
    readable.

    Examples:
        s2s models list
        s2s models list --sort bleu
        s2s models list --json
    """
    from s2s.errors import S2SError
    from s2s.registry.store import Registry

    registry, found, failed = Registry.default(), {}, 0
    for name in registry.names():
        try:
            found[name] = Listed(registry.resolve(name), registry.aliases(name), registry.best_version(name))
        except S2SError as error:
            failed = error.exit_code
            note(f"warning: {error.described}")
    models = _sorted(found.values(), sort)
    if as_json:
        print_json([one.as_json() for one in models])
    elif models:
        _print_models(models, sort)
        note("Next: s2s models show MODEL, s2s translate MODEL")
    elif not failed:
        note(f"no models in {registry.root}. Next: s2s train numbers/attention")
    if failed:
        raise typer.Exit(failed)


def show(model: ModelReference, as_json: AsJson = False) -> None:
    """Show a model's card: lineage, sizes, training, scores and how they were measured.

    Examples:
        s2s models show numbers-attention
        s2s models show numbers-attention:1 --json
    """
    from s2s.registry.store import Registry

    registry = Registry.default()
    version = registry.resolve(model)
    aliases = registry.aliases(version.name)
    if as_json:
        files = {name: file.model_dump() for name, file in version.files.items()}
        listed = Listed(version, aliases, registry.best_version(version.name))
        print_json(listed.as_json() | {"files": files, "card": version.card.as_dict()})
        return
    names = [alias for alias, number in aliases.items() if number == version.number]
    out.print(" ".join([version.reference, *(f"@{alias}" for alias in names)]), style="bold")
    for label, text in [*_describe(version), *_lineage(version, registry), *_loaded(version)]:
        if text:
            out.print(f"  {label:11} {one_line(text)}", soft_wrap=True)
    if version.card.scores:
        out.print("\nscores", style="bold")
    texts = [one_line(_score(score)) for score in version.card.scores]
    for text, score in zip(texts, version.card.scores, strict=True):
        out.print(f"  {text:{max(map(len, texts))}} {one_line(_measured(score))}", soft_wrap=True)
    note(f"Next: {use_command(version.reference, of_images=version.card.of_images)}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as `models list` shows it."""

    version: "Version"  # the newest
    aliases: dict[str, int]
    best: "Version | None"  # by its first score

    def as_json(self) -> dict[str, Any]:
        """Summarize the model as JSON values."""
        card = self.version.card
        return {
            "model": self.version.name,
            "version": self.version.number,
            "aliases": self.aliases,
            "published": self.version.published,
            "architecture": card.architecture,
            "attention": card.attention,
            "source_language": card.source_language,
            "target_language": card.target_language,
            "parameters": card.parameters,
            "score": card.scores[0].model_dump() if card.scores else None,
            "best": None
            if self.best is None
            else {"version": self.best.number, "score": self.best.card.scores[0].model_dump()},
        }

    def value(self, metric: str) -> float | None:
        """Return the newest version's first score by a metric, or None."""
        return next((score.value for score in self.version.card.scores if score.metric == metric), None)

    def score(self, metric: str) -> str:
        """Return the score by a metric; without one, the first score, and the best one if an older version has it."""
        if not self.version.card.scores:
            return "–"
        found = next((score for score in self.version.card.scores if score.metric == metric), None)
        if found:
            return _score(found)
        shown = _score(self.version.card.scores[0])
        if self.best is None or self.best.number == self.version.number:
            return shown
        return f"{shown} (:{self.best.number} {self.best.card.scores[0].value:.1f})"


def _sorted(models: Iterable[Listed], key: str) -> list[Listed]:
    """Return models by name, newest or largest first, or best first by a score; those without it come last.

    Raises: UsageError if no model has such a score.
    """
    from s2s.errors import UsageError, did_you_mean
    from s2s.metrics.scores import LOWER_IS_BETTER

    models = list(models)
    match key:
        case "name":
            return models
        case "published":
            return sorted(models, key=lambda one: one.version.published, reverse=True)
        case "parameters":
            return sorted(models, key=lambda one: one.version.card.parameters, reverse=True)
    metrics = sorted({score.metric for one in models for score in one.version.card.scores})
    if key not in metrics:
        known = ["name", "published", "parameters", *metrics]
        raise UsageError(f"--sort {key}: expected one of {', '.join(known)}", did_you_mean(key, known))
    sign = 1 if key in LOWER_IS_BETTER else -1
    return sorted(models, key=lambda one: inf if (value := one.value(key)) is None else sign * value)


def _print_models(models: Iterable[Listed], metric: str) -> None:
    columns = ("model", "aliases", "direction", "score", "parameters", "published", "architecture")
    rows = []
    for one in models:
        card = one.version.card
        rows.append(
            [
                one.version.reference,
                " ".join(f"{alias}:{number}" for alias, number in one.aliases.items()),
                _direction(card),
                one.score(metric),
                f"{card.parameters:,}",
                one.version.published[:10],
                card.architecture,
            ]
        )
    print_table(columns, rows, NUMBERS, details="architecture")


def _direction(card: "Card") -> str:
    """Return `de → en` or `images → en`; `–` for a language that is not known."""
    return f"{'images' if card.of_images else card.source_language or '–'} → {card.target_language or '–'}"


def _score(score: "ScoreRecord") -> str:
    from s2s.metrics.scores import SCORE_NAMES, format_score

    if score.metric not in SCORE_NAMES:
        return f"{score.metric} {score.value:.2f}"
    return f"{SCORE_NAMES[score.metric]} {format_score(score.metric, score.value)}"


def _measured(score: "ScoreRecord") -> str:
    """How a score was got: `test · beam 5, length penalty 1 · BLEU|nrefs:1|…`."""
    return " · ".join(part for part in (score.test_set, score.settings, score.signature) if part)


def _describe(version: "Version") -> list[tuple[str, str]]:
    """Return the lines of a card without its scores, as labels and texts; a text is empty if unknown."""
    from s2s.report.format import duration, local_time

    card, training = version.card, version.card.training
    return [
        ("architecture", card.architecture),
        ("description", card.description),
        ("attention", "yes" if card.attention else "no (fixed context)"),
        ("task", f"{_direction(card)}: {card.task}"),
        ("data", f"{_pairs(card)}; corpus {card.corpus[:12]}"),
        ("size", f"{card.parameters:,} parameters, {format_size(card.memory_bytes)}"),
        (
            "training",
            f"{duration(training.seconds)}, {training.epochs:g} epochs, {training.updates:,} updates (best at "
            f"{training.best_update:,}), {training.tokens_per_second:,.0f} tokens/s, seed {training.seed}",
        ),
        (
            "computed",
            f"on {training.device} in {training.precision}, {counted(training.threads, 'thread')}"
            + (f" in each of {training.processes} processes" if training.processes > 1 else ""),
        ),
        ("averaged", f"the mean of updates {', '.join(map(str, training.averaged))}" if training.averaged else ""),
        ("skipped", f"{training.skipped:,} updates whose loss or gradient was not finite" if training.skipped else ""),
        ("not exact", "; ".join(training.changes)),
        ("machine", card.machine.describe()),
        ("versions", ", ".join(f"{name} {number}" for name, number in card.versions.items())),
        ("published", local_time(version.published)),
        ("files", ", ".join(f"{name} ({file.size:,} bytes)" for name, file in version.files.items())),
    ]


def _lineage(version: "Version", registry: "Registry") -> list[tuple[str, str]]:
    """Return the version that this one was fine-tuned from, with its data, and the model's other versions."""
    from s2s.errors import S2SError

    others = [one for one in registry.readable_versions(version.name) if one.number != version.number]
    shown = [f":{one.number}" + (f" ({_score(one.card.scores[0])})" if one.card.scores else "") for one in others]
    parent = version.card.parent or ""
    if parent:
        try:
            parent += f" (corpus {registry.resolve(parent).card.corpus[:12]})"
        except S2SError as error:
            parent += f" ({error.message})"
    return [("parent", parent), ("others", ", ".join(shown))]


def _loaded(version: "Version") -> list[tuple[str, str]]:
    """Return how the server of this machine holds the version, with the memory that it takes there."""
    from s2s.serving.client import server_status
    from s2s.serving.status import StoppingError

    try:
        models = [one for one in server_status().models if one.reference == version.reference and one.engine]
    except StoppingError:
        return []
    return [("loaded", f"{one.engine} on {one.device}: {format_size(one.bytes)}, measured") for one in models]


def _pairs(card: "Card") -> str:
    counts = ", ".join(f"{split} {count:,}" for split, count in card.pairs.items())
    overlap = f"{card.train_test_overlap:,}" if card.train_test_overlap else "none"
    return f"pairs: {counts}; {overlap} of the test sentences also in training"
