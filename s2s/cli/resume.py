"""`s2s resume`: go on with a run."""

from typing import Annotated

import typer

from s2s.cli.console import err, note
from s2s.cli.options import Wait


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's name, as s2s train says it, or its folder.")],
    wait: Wait = False,
) -> None:
    """Go on with a training run from its last checkpoint.

    Examples:
        s2s resume numbers-attention-1a2b3c4d
    """
    from s2s.training.run import resume as go_on

    version = go_on(run, wait=wait, console=err, notify=note)
    note(f"model {version.reference}. Next: s2s translate {version.name}, s2s models show {version.name}")
