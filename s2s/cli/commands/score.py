"""`s2s score`: score existing translations."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, show_log
from s2s.cli.decoding_options import Tag
from s2s.cli.options import Device, Force, ModelReference, NoServer, Output, Threads, Wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2s.decoding.scoring import ScoredLine


def score(
    model: ModelReference,
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="Source sentences, one per line; plain or compressed; - is standard input."),
    ],
    target: Annotated[str, typer.Argument(metavar="TGT", help="Their translations, one per line.")],
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens",
            help="Add a tab, then each token and its log-probability, separated by single spaces; "
            "the last token is </s>.",
        ),
    ] = False,
    alignments: Annotated[
        str | None,
        typer.Option(
            "--alignments",
            metavar="FILE",
            help="Write the source word with the most attention for each target word, in Pharaoh format: "
            "0-0 2-1 (source-target, from 0; words are separated by spaces).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line pair.")] = False,
    tag: Tag = "",
    output: Output = "-",
    force: Force = False,
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    no_server: NoServer = False,
) -> None:
    """Print the log-probability of each target line given its source line: the sum over its tokens and </s>, in nats.

    A summary on standard error gives the perplexity per token, </s> included, and the bits per byte of the target's
    UTF-8 text without line breaks, which compare models with different tokenizers.

    Examples:
        s2s score numbers-attention test.de test.en
        s2s score numbers-attention test.de test.en --tokens
        s2s score numbers-attention test.de test.en --alignments test.align -o test.scores
    """
    from s2s.cli.line_progress import line_progress
    from s2s.cli.output import open_output, refuse_same_output
    from s2s.decoding.config import TranslatorConfig
    from s2s.decoding.scoring import score_files
    from s2s.io.json_values import format_json
    from s2s.serving.client import open_scorer

    refuse_same_output(output, alignments)
    show_log()
    names = [source, target]
    with (
        open_output(output, names, force) as scores,
        open_output(alignments, names, force) as aligned,
        line_progress(output) as progress,
    ):

        def write(lines: "Sequence[ScoredLine]") -> None:
            for line in lines:
                text = format_json(line.as_json(tokens)) if as_json else line.as_text(tokens)
                if scores:
                    scores.write(text.encode() + b"\n")
                if aligned:
                    aligned.write(line.as_pharaoh().encode() + b"\n")
            for file in (scores, aligned):
                if file:
                    file.flush()
            progress(len(lines))

        config = TranslatorConfig([model], f"s2s score {model}", "pytorch", "fp32", device, wait, tag=tag)
        with open_scorer(config, use_server=not (no_server or threads)) as translator:
            if aligned:
                translator.settings.require_attention()
            totals = score_files(translator, source, target, write, need_attention=aligned is not None)
    note(totals.describe())
    if totals.untagged:
        lines = f"{totals.untagged:,} of {totals.lines:,} lines"
        note(f"warning: {lines}: the source begins with none of the model's tags (--tag)")
    for name in (output, alignments):
        if name not in {None, "-"}:
            note(f"wrote {name}")
