"""`s2s data why` and `export`."""

from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, cast

import typer

from s2s.cli.commands.data.prepare import CorpusName, open_corpus
from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Force, SetValues
from s2s.report.console import escape_control, out

if TYPE_CHECKING:
    from s2s.data.corpus import Corpus

ROWS = 1000  # pairs in memory


def why(
    corpus: CorpusName,
    place: Annotated[str, typer.Argument(metavar="FILE:LINE", help="A line of the source file or table.")],
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Show what became of a line of the data: kept, held out, or dropped and why.

    Examples:
        s2s data why numbers/attention numbers:17
        s2s data why numbers/attention numbers:17 --json
    """
    from dataclasses import asdict

    from s2s.data.lookup import find_pair

    opened = open_corpus(corpus, values or [])
    found = find_pair(opened, place)
    texts = {} if found.split is None or found.row is None else _texts(opened, found.split, found.row)
    if as_json:
        print_json(asdict(found) | texts)
        return
    became = f"dropped: {found.dropped}" if found.row is None else f"pair {found.row + 1:,} of {found.split}"
    lines = [f"{found.file}:{found.line}: {became}"]
    for key, text in texts.items():
        lines.append(f"  {key}: {text}" if isinstance(text, str) else f"    {' '.join(text)}")
    out.print(escape_control("\n".join(lines)), soft_wrap=True)


def _texts(corpus: "Corpus", name: str, row: int) -> dict[str, str | list[str]]:
    """Return both texts of a pair and their tokens; an image has a name, but no tokens."""
    from s2s.data.sources import Image
    from s2s.text.tokenizer import Tokenizer

    tokenizer, split = Tokenizer(corpus.tokenizer), corpus.split(name)
    texts: dict[str, str | list[str]] = {}
    for side, (text,), (ids,) in zip(("source", "target"), split.texts([row]), split.encoded([row]), strict=True):
        texts[side] = text
        if not isinstance(ids, Image):
            texts[f"{side}_tokens"] = tokenizer.tokens(ids.tolist())
    return texts


def export(
    corpus: CorpusName,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Pairs to write.")],
    source: Annotated[str, typer.Option(metavar="FILE", help="File of the sources, one per line.")] = "",
    target: Annotated[str, typer.Option(metavar="FILE", help="File of the targets, one per line.")] = "",
    values: SetValues = None,
    force: Force = False,
) -> None:
    """Write the pairs of a split: to two text files, or as JSON lines with their places on standard output.

    Training pairs are those that were kept, normalized; validation and test are as they were read.

    Examples:
        s2s data export numbers/attention --split test
        s2s data export numbers/attention --split validation --source numbers.de --target numbers.en
    """
    import sys
    from contextlib import ExitStack

    from s2s.cli.output import open_output, refuse_same_output
    from s2s.errors import UsageError
    from s2s.io.json_values import format_json
    from s2s.text.lines import single_line

    if bool(source) != bool(target):
        raise UsageError("--source and --target belong together", "give both, or neither for JSON lines")
    refuse_same_output(source or None, target or None)
    pairs = open_corpus(corpus, values or []).split(split)
    with ExitStack() as stack:
        files = [cast(BinaryIO, stack.enter_context(open_output(name, [], force))) for name in (source, target) if name]
        for start in range(0, len(pairs), ROWS):
            rows = range(start, min(start + ROWS, len(pairs)))
            texts = pairs.texts(rows)
            for file, side in zip(files, texts, strict=False):
                file.write("".join(f"{single_line(text)}\n" for text in side).encode())
            if not files:
                keys = "source", "target", "place"
                lines = zip(*texts, pairs.places(rows), strict=True)
                sys.stdout.write("".join(format_json(dict(zip(keys, line, strict=True))) + "\n" for line in lines))
    if source:
        note(f"wrote {source} and {target}: {len(pairs):,} pairs")
