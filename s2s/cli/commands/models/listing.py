"""`s2s models`: the registry's models, and the holders of devices."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, ModelReference
from s2s.cli.tables import one_line, print_table
from s2s.report.console import out
from s2s.report.format import format_size, use_command

if TYPE_CHECKING:
    from s2s.registry.card import Card, ScoreRecord
    from s2s.registry.version import Version

app = typer.Typer(help="List, show, alias, export and remove models; list device leases.")

NUMBERS = {"parameters", "pid"}  # columns that are set flush right


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models in the registry, each with its newest version and scores.

    Exits with an error code if a model cannot be read, after listing the others: 4 if it is damaged, 5 if it is not
    readable.

    Examples:
        s2s models list
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
    if as_json:
        print_json([one.as_json() for one in found.values()])
    elif found:
        _print_models(found.values())
        note("Next: s2s models show MODEL, s2s translate MODEL")
    elif not failed:
        note(f"no models in {registry.root}. Next: s2s train numbers/attention")
    if failed:
        raise typer.Exit(failed)


@app.command()
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
    for label, text in _describe(version):
        if text:
            out.print(f"  {label:11} {one_line(text)}", soft_wrap=True)
    if version.card.scores:
        out.print("\nscores", style="bold")
    for score in version.card.scores:
        out.print(f"  {one_line(_score(score)):17} {one_line(_measured(score))}", soft_wrap=True)
    note(f"Next: {use_command(version.reference, of_images=version.card.of_images)}")


@app.command()
def alias(
    model: ModelReference,
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias, such as best.")],
) -> None:
    """Point an alias to a version. MODEL@ALIAS then refers to that version until the alias is moved.

    Examples:
        s2s models alias numbers-attention:1 best
    """
    from s2s.registry.store import Registry

    version = Registry.default().set_alias(model, name)
    use = use_command(f"{version.name}@{name}", of_images=version.card.of_images)
    note(f"{version.name}@{name} is {version.reference}. Next: {use}")


@app.command()
def rm(
    model: ModelReference,
    force: Annotated[bool, typer.Option("--force", help="Also drop the aliases of this version.")] = False,
) -> None:
    """Remove a version. Its number is never reused.

    Files that no other version uses are deleted too, unless they were written within the last day; a later `rm` deletes
    those.

    Examples:
        s2s models rm numbers-attention:1
        s2s models rm numbers-attention@best --force
    """
    from s2s.errors import S2SError
    from s2s.registry.store import Registry

    registry = Registry.default()
    note(f"removed {registry.remove(model, force=force)}")
    try:
        freed = registry.gc()
    except S2SError as error:  # another version cannot be read: files that it uses might be deleted
        note(f"warning: unused files stay, because of another version: {error.described}")
    else:
        note(f"freed {format_size(freed)}; files younger than a day are freed by a later s2s models rm")


@app.command()
def export(
    model: ModelReference,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory, written complete or not at all.")],
    form: Annotated[Literal["ctranslate2"], typer.Option("--format", help="Target format.")] = "ctranslate2",
    precision: Annotated[
        Literal["fp32", "int8", "int8_bf16", "bf16", "int8_fp16", "fp16"],
        typer.Option("--precision", help="Precision of the stored weights; int8 is a quarter of the size of fp32."),
    ] = "fp32",
) -> None:
    """Export a Transformer and its SentencePiece model as a directory for CTranslate2, usable without s2s.

    Examples:
        s2s models export numbers-transformer numbers-ct2
        s2s models export numbers-transformer small --precision int8
    """
    from s2s.decoding.ctranslate2_conversion import export as written
    from s2s.registry.store import Registry

    version = Registry.default().resolve(model)
    written(version, directory, precision)
    note(
        f"wrote {directory}: {version.reference} in {precision}, and tokenizer.model, whose tokens it reads and writes"
    )
    note(f"In Python: ctranslate2.Translator({str(directory)!r})")
    options = version.recipe().decoding
    settings = {
        "beam_size": options.beam_size,
        "length_penalty": options.length_penalty,
        "patience": options.patience,
        "no_repeat_ngram_size": options.no_repeat_ngram,
        "suppress_sequences": [["<pad>"], ["<unk>"], ["<s>"]],
        "max_input_length": 0,
    }
    call = ", ".join(f"{name}={value}" for name, value in settings.items())
    limit = f"max_decoding_length={options.max_ratio:g} * source_tokens + 10"
    note(f"It decodes as s2s does with translate_batch(source, {call}, {limit})")


@app.command()
def ps(as_json: AsJson = False) -> None:
    """List the processes that hold a device of this host.

    Examples:
        s2s models ps
        s2s models ps --json
    """
    from s2s.devices.leases import holders

    found = holders()
    if as_json:
        print_json([asdict(holder) for holder in found])
    elif found:
        columns = ("device", "user", "pid", "since", "command")
        rows = [[one.device, one.user, str(one.pid), one.describe_since(), one.command] for one in found]
        print_table(columns, rows, NUMBERS)
    else:
        note("no device is held")


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

    def score(self) -> str:
        """Return the score, and the best one if an older version has it."""
        if not self.version.card.scores:
            return "–"
        shown = _score(self.version.card.scores[0])
        if self.best is None or self.best.number == self.version.number:
            return shown
        return f"{shown} (:{self.best.number} {self.best.card.scores[0].value:.1f})"


def _print_models(models: Iterable[Listed]) -> None:
    columns = ("model", "aliases", "score", "parameters", "published", "architecture")
    rows = []
    for one in models:
        card = one.version.card
        rows.append(
            [
                one.version.reference,
                " ".join(f"{alias}:{number}" for alias, number in one.aliases.items()),
                one.score(),
                f"{card.parameters:,}",
                one.version.published[:10],
                f"{_languages(card)}{card.architecture}",
            ]
        )
    print_table(columns, rows, NUMBERS, details="architecture")


def _languages(card: "Card") -> str:
    return f"{card.source_language} → {card.target_language}: " if card.source_language else ""


def _score(score: "ScoreRecord") -> str:
    from s2s.metrics.scores import SCORE_NAMES

    return f"{SCORE_NAMES.get(score.metric, score.metric)} {score.value:.{1 if score.metric in SCORE_NAMES else 2}f}"


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
        ("task", f"{_languages(card)}{card.task}"),
        ("data", f"{_pairs(card)}; corpus {card.corpus[:12]}"),
        ("size", f"{card.parameters:,} parameters, {format_size(card.memory_bytes)}"),
        (
            "training",
            f"{duration(training.seconds)}, {training.epochs:g} epochs, {training.updates:,} updates (best at "
            f"{training.best_update:,}), {training.tokens_per_second:,.0f} tokens/s, seed {training.seed}",
        ),
        (
            "computed",
            f"on {training.device} in {training.precision}, {training.threads} threads"
            + (f" in each of {training.processes} processes" if training.processes > 1 else ""),
        ),
        ("averaged", f"the mean of updates {', '.join(map(str, training.averaged))}" if training.averaged else ""),
        ("skipped", f"{training.skipped:,} updates, whose loss was not finite" if training.skipped else ""),
        ("not exact", "; ".join(training.changes)),
        ("machine", card.machine.describe()),
        ("versions", ", ".join(f"{name} {number}" for name, number in card.versions.items())),
        ("parent", card.parent or ""),
        ("published", local_time(version.published)),
        ("files", ", ".join(f"{name} ({file.size:,} bytes)" for name, file in version.files.items())),
    ]


def _pairs(card: "Card") -> str:
    counts = ", ".join(f"{split} {count:,}" for split, count in card.pairs.items())
    overlap = f"{card.train_test_overlap:,}" if card.train_test_overlap else "none"
    return f"pairs: {counts}; {overlap} of the test sentences also in training"
