"""How translations are searched for, as options of a command; where not given, the model's own recipe decides."""

from typing import Annotated, Literal

import typer

Stopping = Annotated[
    Literal["first", "exact"] | None,
    typer.Option(
        "--stopping", help="first: when patience × beam hypotheses have finished; exact: when nothing better can come."
    ),
]
Patience = Annotated[
    float | None, typer.Option("--patience", min=1, max=100, help="Finished hypotheses to wait for, over the beam.")
]
MinRatio = Annotated[
    float | None, typer.Option("--min-ratio", min=0, help="Shortest output, as a multiple of the source's tokens.")
]
MaxRatio = Annotated[
    float | None, typer.Option("--max-ratio", help="Longest output, as a multiple of the source's tokens, and 10 more.")
]
NoRepeatNgram = Annotated[
    int | None, typer.Option("--no-repeat-ngram", metavar="N", min=0, max=100, help="No N tokens in a row come twice.")
]
Sample = Annotated[bool | None, typer.Option("--sample", help="Draw at random instead of searching.")]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="Of samples: below 1 sharper, above 1 flatter.")
]
TopK = Annotated[int | None, typer.Option("--top-k", metavar="K", min=0, help="Draw from the K most probable tokens.")]
TopP = Annotated[
    float | None, typer.Option("--top-p", metavar="P", max=1, help="Draw from the fewest tokens with probability P.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of samples.")]
NBest = Annotated[
    int | None,
    typer.Option(
        "--nbest", metavar="N", min=1, max=1000, help="N translations of each line: its number, score, text, with tabs."
    ),
]
Prefix = Annotated[
    str | None, typer.Option("--prefix", metavar="FILE", help="What each translation begins with, line by line.")
]
Ensemble = Annotated[
    list[str] | None,
    typer.Option("--ensemble", metavar="MODEL", help="Another model that takes part; may be given several times."),
]
