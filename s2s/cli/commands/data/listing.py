"""`s2s data list` and `rm`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2s.cli.console import note, print_json, show_log
from s2s.cli.options import AsJson
from s2s.cli.tables import print_table
from s2s.report.format import format_size

if TYPE_CHECKING:
    from s2s.data.corpus import Corpus


def list_corpora(as_json: AsJson = False) -> None:
    """List the prepared corpora, with the models of the registry that were trained on each.

    Exits with code 4 if a corpus is damaged, after listing the others.

    Examples:
        s2s data list
        s2s data list --json
    """
    from s2s.data.corpora import corpora_directory, corpus_directories, parts_directory, unfinished_corpora
    from s2s.data.corpus import Corpus
    from s2s.errors import S2SError
    from s2s.io.paths import directory_size
    from s2s.registry.store import Registry

    show_log()
    registry, found, failed = Registry.default(), list[Corpus](), 0
    for directory in corpus_directories():
        try:
            found.append(Corpus.open(directory))
        except S2SError as error:
            failed = 4
            note(f"warning: {error.described}")
    models: dict[str, list[str]] = {}
    for version in (one for name in registry.names() for one in registry.readable_versions(name)):
        models.setdefault(version.card.corpus, []).append(version.reference)
    listed: list[dict[str, Any]] = [
        {
            "corpus": corpus.path.name,
            "kind": _kind(corpus),
            **{name: split.kept for name, split in corpus.ledger.splits.items()},
            "tokens": corpus.ledger.tokenizer.tokens,
            "size": directory_size(corpus.path),
            "models": models.get(corpus.digest, []),
        }
        for corpus in found
    ]
    unfinished = unfinished_corpora()
    for directory in unfinished:
        name, size = directory.name, format_size(directory_size(parts_directory(directory)))
        note(f"{name} is not complete ({size}); s2s data prepare continues it, s2s data rm {name} removes it")
    if as_json:
        print_json(listed)
    elif listed:
        columns = [*listed[0]]
        rows = [[format_size(value) if key == "size" else _cell(value) for key, value in one.items()] for one in listed]
        print_table(columns, rows, set(columns) - {"corpus", "kind", "models"}, details="models")
    elif not (failed or unfinished):
        note(f"no corpora in {corpora_directory()}. Next: s2s data prepare numbers/attention")
    if failed:
        raise typer.Exit(failed)


def rm(corpora: Annotated[list[str], typer.Argument(metavar="CORPUS...", help="Names, or how they begin.")]) -> None:
    """Remove corpora. `s2s train` and `s2s compare` prepare one again when they need it and its inputs are still there.

    Examples:
        s2s data rm 3f2a
    """
    from s2s.data.corpora import remove_corpus

    for name in corpora:
        directory, freed = remove_corpus(name)
        note(f"removed {directory}: freed {format_size(freed)}")


def _kind(corpus: "Corpus") -> str:
    size = corpus.ledger.image_size
    return ("features" if size.features else "images") if size else "text"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
