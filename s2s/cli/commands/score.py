"""`s2s score`: score given translations."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note
from s2s.cli.options import Device, Force, ModelReference, Wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2s.decoding.scoring import ScoredLine


def score(
    model: ModelReference,
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Source sentences, one per line; plain or .gz; - is standard input.")
    ],
    target: Annotated[str, typer.Argument(metavar="TGT", help="The translations, line by line.")],
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens",
            help="Add a tab, then each token and its log-probability, all with single spaces between; "
            "</s>, the end, is the last token.",
        ),
    ] = False,
    alignments: Annotated[
        str | None,
        typer.Option(
            "--alignments",
            metavar="FILE",
            help="Write which source word each target word's attention is on most, in the Pharaoh format: 0-0 2-1, "
            "source - target, counted from 0, words being split at spaces.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line pair.")] = False,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Output file, written complete or not at all.")
    ] = "-",
    force: Force = False,
    device: Device = "auto",
    wait: Wait = False,
) -> None:
    """Log-probability of each target line given its source line: a natural logarithm, summed over the line's tokens
    and its end.

    The last line, on standard error, sums up: perplexity is per token, ends counted; bits per byte are of the target's
    UTF-8 bytes, line breaks not counted, so that models with different tokenizers can be compared.

    Examples:
        s2s score numbers-attention test.de test.en
        s2s score numbers-attention test.de test.en --tokens
        s2s score numbers-attention test.de test.en --alignments test.align -o test.scores
    """
    import json

    from s2s.cli.line_progress import line_progress
    from s2s.cli.output import refuse_one_place, writing
    from s2s.decoding.loading import loaded_reference
    from s2s.decoding.scoring import score_files
    from s2s.decoding.translator import require_attention

    refuse_one_place(output, alignments)
    names = [source, target]
    with (
        writing(output, names, force) as scores,
        writing(alignments, names, force) as aligned,
        line_progress(output) as done,
    ):

        def write(lines: "Sequence[ScoredLine]") -> None:
            for line in lines:
                text = json.dumps(line.as_json(tokens), ensure_ascii=False) if as_json else line.as_text(tokens)
                if scores:
                    scores.write(text.encode() + b"\n")
                if aligned:
                    aligned.write(line.as_pharaoh().encode() + b"\n")
            for file in (scores, aligned):
                if file:
                    file.flush()
            done(len(lines))

        with loaded_reference(model, device, wait, f"s2s score {model}") as translator:
            if aligned:
                require_attention(translator.recipe)
            totals = score_files(translator, source, target, write, need_attention=aligned is not None)
    note(totals.describe())
    for name in (output, alignments):
        if name not in {None, "-"}:
            note(f"wrote {name}")
