"""`s2s resume`: resume an interrupted run."""

from typing import Annotated

import typer

from s2s.cli.console import note
from s2s.cli.options import Tensorboard, Wait


def resume(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Name or directory of a run, or the name of a model with one unfinished run."
        ),
    ],
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="NAME",
            help="Accept a change: a key or table of the run's recipe.toml (training.lr), corpus, tokenizer, processes "
            "(repeatable).",
        ),
    ] = None,
    wait: Wait = 0.0,
    tensorboard: Tensorboard = False,
) -> None:
    """Resume an interrupted run from its last checkpoint, bit-exactly (on a GPU: if trained with --deterministic).

    If a setting has changed since the run was created, the command fails and lists the changes. --allow accepts a
    change; the model's card then records that training was not bit-exact.

    Examples:
        s2s resume numbers-attention-1a2b3c4d
        s2s resume numbers-attention-1a2b3c4d --allow training.lr
    """
    from s2s.training.distributed import DistributedContext, launch
    from s2s.training.runs.record import RunRecord, find_run

    world = DistributedContext.current()
    processes = RunRecord.read(find_run(run, unfinished=True)).processes
    if processes > 1 and not world.launched and "processes" not in (allow or []):
        launch(processes)
        return
    from s2s.report.format import use_command
    from s2s.training.runs.lifecycle import resume as go_on

    version = go_on(run, wait=wait, allowed=allow or [], tensorboard=tensorboard)
    if world.main:
        use = use_command(version.name, of_images=version.card.of_images)
        note(f"model {version.reference}. Next: {use}, s2s models show {version.name}")
