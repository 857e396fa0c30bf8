"""Decoding options of commands; the model's recipe sets the defaults."""

from typing import Annotated, Literal

import typer

Stopping = Annotated[
    Literal["first", "exact"] | None,
    typer.Option(
        "--stopping", help="first: stop after patience × beam size hypotheses; exact: stop when none can improve."
    ),
]
Patience = Annotated[
    float | None,
    typer.Option("--patience", min=1, max=100, help="Finished hypotheses to wait for, as a multiple of the beam size."),
]
MinRatio = Annotated[
    float | None,
    typer.Option("--min-ratio", min=0, help="Minimum output length, as a multiple of the source length in tokens."),
]
MaxRatio = Annotated[
    float | None,
    typer.Option("--max-ratio", help="Maximum output length, as a multiple of the source length in tokens, plus 10."),
]
NoRepeatNgram = Annotated[
    int | None,
    typer.Option("--no-repeat-ngram", metavar="N", min=0, max=100, help="Never repeat an n-gram of N tokens; 0: off."),
]
Sample = Annotated[bool | None, typer.Option("--sample/--no-sample", help="Sample instead of beam search.")]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="Sampling temperature; below 1 is sharper, above 1 flatter.")
]
TopK = Annotated[
    int | None, typer.Option("--top-k", metavar="K", min=0, help="Sample from the K most probable tokens; 0: all.")
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p", metavar="P", max=1, help="Sample from the smallest set of tokens with total probability P."
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed for sampling.")]
NBest = Annotated[
    int | None,
    typer.Option(
        "--nbest",
        metavar="N",
        min=1,
        max=1000,
        help="Print N translations per line: line number, score and text, tab-separated.",
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option("--prefix", metavar="FILE", help="Force each translation to start with the matching line of FILE."),
]
Split = Annotated[
    Literal["auto", "on", "off"],
    typer.Option(
        "--split",
        help="Translate the sentences of a line one by one; auto: if the model was trained on single sentences, except "
        "with --nbest, --prefix and attention.",
    ),
]
Tag = Annotated[
    str,
    typer.Option(
        "--tag",
        metavar="TAG",
        help="Put TAG, such as <2en>, before lines that begin with none of the model's tags (data.datasets.tag).",
        show_default=False,
    ),
]
Ensemble = Annotated[
    list[str] | None,
    typer.Option("--ensemble", metavar="MODEL", help="Add a model to the ensemble (repeatable)."),
]
