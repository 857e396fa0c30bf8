"""`s2s train`: from a recipe to a published model."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Device, SetValues, Tensorboard, Threads, Wait
from s2s.report.console import out

if TYPE_CHECKING:
    from s2s.recipe.recipe import Recipe
    from s2s.registry.version import Version
    from s2s.training.runs.preflight import Preflight

SHOWN = 48  # characters of a line and of its translation


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a built-in recipe, or a recipe file.")],
    values: SetValues = None,
    name: Annotated[str | None, typer.Option("--name", help="Model name. Default: the recipe's.")] = None,
    begin_from: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune: start from this model's tokenizer and weights."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again even if the model exists.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Dry run: try the largest batches, a checkpoint and three translations.")
    ] = False,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, help="Processes on this host that share the training; see training.parallel."
        ),
    ] = 1,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Use deterministic GPU kernels, so that resuming is exact; slower.")
    ] = False,
    tensorboard: Tensorboard = False,
    as_json: AsJson = False,
) -> None:
    """Train a model from a recipe: tokenizer, corpus, training, test, publication in the registry.

    Existing tokenizers, corpora and models are reused.

    Examples:
        s2s train numbers/attention
        s2s train numbers/attention --set training.lr=2e-3 --name numbers-lr2e-3
        s2s train numbers/attention --check
        s2s train numbers/attention --from numbers-attention --name numbers-tuned
        s2s train multi30k/attention --set data.root=multi30k
    """
    from shlex import join

    from s2s.recipe.load import load_recipe, refuse_encoder_only
    from s2s.training.distributed import DistributedContext, launch

    world = DistributedContext.current()
    loaded = load_recipe(recipe, [*(values or []), *([f'name="{name}"'] if name else [])])
    refuse_encoder_only(loaded)
    alone = check and loaded.training.parallel == "ddp"  # what one process needs, each of several needs at most
    if processes > 1 and not world.launched and not alone:
        launch(processes)
        return
    from s2s.registry.store import Registry

    parent = Registry.default().resolve(begin_from) if begin_from else None
    if check:
        _check(loaded, parent, device, wait, as_json)
        if world.main and not as_json:
            options: list[tuple[str, object]] = [("--set", value) for value in values or []]
            options += [("--name", name), ("--from", begin_from), ("--device", None if device == "auto" else device)]
            waiting = "forever" if wait == math.inf else f"{wait:.15g}s" if wait else None
            options += [
                ("--wait", waiting),
                ("--threads", threads),
                ("--processes", None if processes == 1 else processes),
            ]
            switches = {
                "--fresh": fresh,
                "--deterministic": deterministic,
                "--tensorboard": tensorboard,
            }
            flags = [part for option, value in options if value is not None for part in (option, str(value))]
            flags += [switch for switch, given in switches.items() if given]
            note(f"it fits. Next: {join(['s2s', 'train', recipe, *flags])}")
        return
    from s2s.report.format import use_command
    from s2s.training.runs.lifecycle import train as run

    version = run(
        loaded,
        device=device,
        wait=wait,
        fresh=fresh,
        parent=parent,
        deterministic=deterministic,
        tensorboard=tensorboard,
    )
    if world.main:
        if as_json:
            print_json({"model": version.name, "version": version.number})
        use = use_command(version.name, of_images=version.card.of_images)
        note(f"model {version.reference}. Next: {use}, s2s models show {version.name}")


def _check(recipe: "Recipe", parent: "Version | None", device: str, wait: float, as_json: bool) -> None:
    """Print the result of `--check` on standard output."""
    from dataclasses import asdict

    from s2s.training.distributed import process_group
    from s2s.training.runs.context import RunContext
    from s2s.training.runs.finetune import inherit_from
    from s2s.training.runs.preflight import check

    context = RunContext.current(wait, tensorboard=False)
    recipe = inherit_from(recipe, parent) if parent else recipe
    with process_group(context.distributed):
        corpus = context.corpus(recipe, parent.read("tokenizer.model") if parent else None)
        with context.leased(device, f"s2s train {recipe.name} --check") as leased:
            found = check(recipe, corpus, leased, parent, context.distributed)
    if not context.distributed.main:
        return
    if as_json:
        print_json(asdict(found))
        return
    lines = [("before training", f"{_shorten(source)} → {_shorten(output)}") for source, output in found.lines]
    for label, text in [*_describe(recipe, found), *lines]:
        out.print(f"{label:20} {text}", soft_wrap=True)


def _describe(recipe: "Recipe", found: "Preflight") -> list[tuple[str, str]]:
    from s2s.report.format import counted, duration, format_size

    at_once = f"{found.micro_batch_tokens:,}" if found.micro_batch_tokens else "all"
    return [
        ("model", f"{recipe.model.describe()}; {found.parameters:,} parameters"),
        ("device", f"{found.device}, {found.precision}, {counted(found.threads, 'thread')}"),
        ("micro-batches", f"{at_once} of a batch's {recipe.training.batch_tokens:,} tokens"),
        (
            "memory",
            f"{format_size(found.memory_peak)} peak for the largest batches (estimate "
            f"{format_size(found.memory_estimate)}, without libraries); {format_size(found.memory_free)} free",
        ),
        (
            "time",
            f"{duration(found.total_seconds)} in all ({recipe.training.stop_after}), {duration(found.epoch_seconds)} "
            f"per epoch of {found.batches:,} batches; without validation",
        ),
        (
            "disk",
            f"{format_size(found.disk_needed)} for checkpoints of {format_size(found.checkpoint_bytes)}; "
            f"{format_size(found.disk_free)} free",
        ),
        ("checkpoint", "written and read back"),
    ]


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
