"""`s2s data prepare` and `inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, SetValues
from s2s.cli.tables import print_table
from s2s.report.console import escape_control, out

if TYPE_CHECKING:
    from s2s.data.corpus import Corpus
    from s2s.data.ledger import Finding, SplitLedger, Tally

EXTENTS = 10  # of a finding that are shown
CORPUS_HELP = "A recipe, or the directory of a prepared corpus."
OnInvalid = Annotated[
    Literal["refuse", "drop"] | None,
    typer.Option("--on-invalid", help="Invalid UTF-8: refuse the file or drop the pair. Default: the recipe's."),
]
CorpusName = Annotated[str, typer.Argument(metavar="RECIPE|DIRECTORY", help=CORPUS_HELP)]


def prepare(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a built-in recipe, or a recipe file.")],
    values: SetValues = None,
    on_invalid: OnInvalid = None,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, metavar="N", help="Processes on this machine. Default: 1.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Do the Ith of N shares, such as 2/7, and end.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Go on when every --shard is done.")] = False,
    engine: Annotated[
        Literal["local", "dask"], typer.Option("--engine", help="Where to compute: here or on a Dask cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option("--address", metavar="URL", help="Address of the scheduler of Dask.")
    ] = None,
) -> None:
    """Read, filter and tokenize the data of a recipe. `s2s train` does this if necessary.

    A preparation that was interrupted continues. The corpus is the same, byte for byte, however the work is shared.

    On several machines with one file system, run every --shard, then --merge, twice: the first round reads
    the pairs, and its merge selects them and trains the tokenizer; the second encodes them, and its merge writes the
    corpus.

    Examples:
        s2s data prepare numbers/attention
        s2s data prepare multi30k/attention --set data.root=multi30k --on-invalid drop
        s2s data prepare numbers/attention --processes 2
        s2s data prepare numbers/attention --shard 2/7
        s2s data prepare numbers/attention --merge
        s2s data prepare numbers/attention --engine dask --address tcp://head:8786
    """
    from shlex import join

    from s2s.cli.sharing import parse_shard, refuse_combinations
    from s2s.data.preparation.engines import Dask, InProcess, Processes
    from s2s.data.preparation.plan import Plan
    from s2s.data.prepare import merge_shards, prepare_corpus, prepare_shard
    from s2s.recipe.load import load_recipe

    refuse_combinations(processes=processes, shard=shard, merge=merge, engine=engine, address=address)
    invalid = [f"data.on_invalid={on_invalid}"] if on_invalid else []
    overrides = [*(values or []), *invalid]
    options = load_recipe(recipe, overrides)
    arguments = join([recipe, *(part for value in overrides for part in ("--set", value))])
    if shard:
        number, count = parse_shard(shard)
        done = prepare_shard(Plan.make(options.data, options.tokenizer), number - 1, count)
        note(f"shard {number} of {count}: {done}")
        note(f"Next, when all {count} are done: s2s data prepare {arguments} --merge")
        return
    if merge:
        corpus = merge_shards(Plan.make(options.data, options.tokenizer))
        if corpus is None:
            note("the pairs are selected, and the tokenizer is trained")
            note(f"Next: s2s data prepare {arguments} with every --shard again, then --merge")
            return
    else:
        where = Dask(address) if address else Processes(processes) if processes else InProcess()
        corpus = prepare_corpus(options.data, options.tokenizer, engine=where)
    kept = ", ".join(f"{name} {split.kept:,}" for name, split in corpus.ledger.splits.items())
    note(f"corpus {corpus.path}: {kept} pairs")
    note(f"Next: s2s data inspect {arguments}, s2s train {arguments}")


def inspect(
    corpus: CorpusName,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Show a corpus: pairs kept and dropped, lengths, test sources that also occur in training.

    For each filter: the pairs it dropped after the filters before it, and those it
    would drop on its own. The checksums of the corpus are verified. A recipe's corpus is prepared if it does not exist.

    Examples:
        s2s data inspect numbers/attention
        s2s data inspect numbers/attention --json
    """
    found = open_corpus(corpus, values or [])
    found.verify(again=True)
    if as_json:
        print_json({"path": str(found.path), "digest": found.digest, **found.ledger.as_dict()})
        return
    ledger = found.ledger
    out.print(f"corpus {found.path}\ndigest {found.digest}", soft_wrap=True)
    for key, value in {"license": ledger.license, "citation": ledger.citation}.items():
        if value:
            out.print(escape_control(f"{key} {value}"), soft_wrap=True)
    out.print(f"tokens {ledger.tokenizer.tokens:,}\n", soft_wrap=True)
    if ledger.image_size:
        height, width, features = ledger.image_size
        what = f"features of {height} × {width} × {features}" if features else f"images of {height} × {width} pixels"
        out.print(f"{what}\n", soft_wrap=True)
    _print_lengths(ledger.splits, of_images=ledger.image_size is not None)
    out.print()
    for name, split in ledger.splits.items():
        _show_split(name, split)


def open_corpus(corpus: str, values: list[str]) -> "Corpus":
    """Open the corpus in a directory, or that of a recipe, which is prepared if necessary."""
    from s2s.data.corpus import MANIFEST, Corpus
    from s2s.data.prepare import prepare_corpus
    from s2s.errors import UsageError
    from s2s.recipe.load import load_recipe

    if Path(corpus).is_dir():
        if not (Path(corpus) / MANIFEST).is_file():
            raise UsageError(
                f"{corpus} is not the directory of a corpus",
                "name a recipe, or a directory that s2s data prepare has printed",
            )
        return Corpus.open(Path(corpus))
    recipe = load_recipe(corpus, values)
    return prepare_corpus(recipe.data, recipe.tokenizer)


def _print_lengths(splits: "dict[str, SplitLedger]", *, of_images: bool) -> None:
    """Print the lengths in tokens and characters and the fertility, one row per side and split; images have none."""
    figures = ("tokens: mean", "median", "p99", "max", "characters: mean", "max ", "tokens per word", "unknown")
    rows = []
    for name, split in splits.items():
        sides = {"source": split.lengths.source, "target": split.lengths.target}
        if of_images:
            del sides["source"]
        for side, lengths in sides.items():
            tokens, characters = lengths.tokens, lengths.characters
            means = [f"{value:,.1f}" for value in (tokens.mean, tokens.median, tokens.p99)]
            fertility = split.fertility[side]
            known = [f"{fertility.tokens_per_word:.2f}", f"{fertility.unknown_rate:.2%}"]
            lengths_in_characters = [f"{characters.mean:,.1f}", f"{characters.max:,}"]
            rows.append([name, side, *means, f"{tokens.max:,}", *lengths_in_characters, *known])
    print_table(("split", "side", *figures), rows, figures, keys=2)


def _show_split(name: str, split: "SplitLedger") -> None:
    """Print how many pairs of a split were read, held out and dropped, and why, with examples."""
    out.print(f"{name}: {split.read:,} pairs read, {split.kept:,} kept", soft_wrap=True)
    for dataset, count in split.datasets.items():
        out.print(f"  {dataset}: {count:,} kept", soft_wrap=True)
    for other, count in (split.held_out or {}).items():
        if count:
            out.print(f"  held out for {other}: {count:,}", soft_wrap=True)
    for side, fertility in split.fertility.items():
        for script, coverage in fertility.scripts.items():
            if coverage.covered < coverage.characters:
                missing = f"{coverage.characters - coverage.covered:,} of {coverage.characters:,} {script}"
                examples = escape_control(" ".join(coverage.missing))
                out.print(f"  {side}: {missing} characters not in the vocabulary: {examples}", soft_wrap=True)
    from s2s.data.ledger import REASONS

    for reason, tally in split.dropped.items():
        _show_tally(f"dropped, {REASONS[reason]}", tally)
    for finding in split.findings:
        _show_finding(finding)
    for one in split.filters:
        alone = f" (alone {one.alone:,})" if one.alone != one.dropped.count else ""
        _show_tally(f"dropped, {one.drops}", one.dropped, alone)
    if split.empty:
        _show_tally("a side is empty (kept)", split.empty)
    if split.overlap:
        _show_tally("the source also occurs in training", split.overlap.source)
        if split.overlap.letters.count > split.overlap.source.count:
            label = "the source also occurs in training, ignoring case, digits and punctuation"
            _show_tally(label, split.overlap.letters)
        _show_tally("the pair also occurs in training", split.overlap.pair)


def _show_tally(label: str, tally: "Tally", remark: str = "") -> None:
    if not (tally.count or remark):
        return
    out.print(f"  {label}: {tally.count:,}{remark}", soft_wrap=True)
    for example in tally.examples:
        out.print(escape_control(f"    {example}"), soft_wrap=True)


def _show_finding(finding: "Finding") -> None:
    """Print what looks wrong with training pairs, where, and examples."""
    out.print(escape_control(f"  {finding.kind}: {finding.message}"), soft_wrap=True)
    for extent in finding.extents[:EXTENTS]:
        shift = f", shifted by {extent.shift}" if extent.shift else ""
        lines = f"    {extent.file}: lines {extent.first:,} to {extent.last:,}{shift}"
        out.print(escape_control(lines), soft_wrap=True)
    if len(finding.extents) > EXTENTS:
        out.print(f"    and {len(finding.extents) - EXTENTS:,} others (--json shows all)", soft_wrap=True)
    for example in finding.examples:
        out.print(escape_control(f"    {example}"), soft_wrap=True)
