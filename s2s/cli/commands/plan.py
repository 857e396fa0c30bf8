"""`s2s plan`: how large a recipe's network is, before it is trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, DeviceMemory, SetValues
from s2s.cli.tables import print_table
from s2s.errors import UsageError
from s2s.report.console import out
from s2s.report.format import format_size

if TYPE_CHECKING:
    from s2s.models.fitting import DevicePlan
    from s2s.models.profile import BatchShape, Plan
    from s2s.recipe.recipe import Recipe

TRAINING = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "AdamW's moments",
    "activations": "activations (estimate)",
}
DECODING = {"weights": "weights", "state": "keys, caches, states", "work": "working memory (estimate)"}


DEFAULT_MEMORY = 80 * 2**30


def plan(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="Name of a built-in recipe, or a recipe file.")
    ] = None,
    values: SetValues = None,
    devices: Annotated[
        int | None,
        typer.Option("--devices", min=1, max=4096, help="Say what fits this many GPUs. Default with --table: 8."),
    ] = None,
    memory: DeviceMemory = None,
    table: Annotated[
        bool, typer.Option("--table", help="Plan the published Transformers of recipes/scaling instead of a recipe.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate the parameters, memory and FLOPs of a recipe's model, without data or training.

    Parameter, gradient, optimizer and decoder-state sizes and matmul FLOPs are exact; activations are estimates.
    Training in bf16 keeps weights in fp32. A process on a CPU also holds its libraries and freed memory. On several
    GPUs, DDP keeps a copy of the network on each and FSDP a part; recomputing keeps the activations of one layer.

    Examples:
        s2s plan multi30k/attention
        s2s plan numbers/attention --set model.decoder.hidden_size=512 --json
        s2s plan scaling/gpt2-xl --devices 8 --memory 80GiB
        s2s plan --table
    """
    if table:
        if recipe or values:
            raise UsageError("--table plans the built-in recipes", "leave RECIPE and --set out")
        _plan_table(devices or 8, memory or DEFAULT_MEMORY, as_json)
    elif recipe is None:
        raise UsageError("no recipe named", "name one (s2s recipes list), or s2s plan --table")
    else:
        _plan_recipe(recipe, values or [], devices, memory, as_json)


def _plan_table(devices: int, memory: int, as_json: bool) -> None:
    """Plan the published systems."""
    from s2s.cli.plan_format import show_systems, system_as_json
    from s2s.models.systems import systems

    found = list(systems(devices, memory))
    if as_json:
        print_json([system_as_json(one) for one in found])
        return
    show_systems(found, devices, memory)
    note(f"Next: s2s plan {found[-1].recipe} --devices {devices}")


def _plan_recipe(recipe: str, values: list[str], devices: int | None, memory: int | None, as_json: bool) -> None:
    """Plan one recipe, and for several devices if their number or memory is given."""
    from s2s.cli.plan_format import show_devices, train_command
    from s2s.models.encoder_plan import plan_encoder
    from s2s.models.fitting import plan_devices
    from s2s.models.profile import plan as planned
    from s2s.recipe.load import load_recipe

    loaded = load_recipe(recipe, values)
    encoder_only = loaded.model.architecture == "encoder_only"
    figures = plan_encoder(loaded) if encoder_only else planned(loaded)
    shared = plan_devices(loaded, devices or 1, memory or DEFAULT_MEMORY) if devices or memory else None
    if as_json:
        print_json(_as_json(loaded, figures, shared))
        return
    _show(loaded, figures)
    if shared:
        show_devices(shared, loaded, memory or DEFAULT_MEMORY)
    if encoder_only or (shared and shared.advised is None):
        return
    note(f"Next: {train_command(recipe, values, shared.advised if shared else None, loaded)}")


def _as_json(recipe: "Recipe", figures: "Plan", shared: "DevicePlan | None") -> dict[str, Any]:
    """Return the figures, memory in bytes."""
    from dataclasses import asdict

    from s2s.cli.plan_format import devices_as_json

    words = {"name": recipe.name, "architecture": recipe.model.describe(), "vocab_size": recipe.tokenizer.vocab_size}
    found = words | {"parameters": figures.parameters} | asdict(figures)
    return found | ({"devices": devices_as_json(shared, recipe)} if shared else {})


def _show(recipe: "Recipe", figures: "Plan") -> None:
    """Format the figures as tables."""
    out.print(f"{recipe.name}: {recipe.model.describe()}\n", style="bold", soft_wrap=True)
    rows = [(part.name, [f"{part.parameters:,}"]) for part in figures.parts]
    _table("part", ["parameters"], [*rows, ("all", [f"{figures.parameters:,}"])])
    process = ("process on a CPU (estimate)", [format_size(size) for size in figures.training_on_cpu.values()])
    _memory(f"training, {_shape(figures.training)}", TRAINING, figures.training_memory, process)
    computation = [("training", [f"{figures.training_flops / 1e6:,.1f} million"])]
    if figures.decoding and figures.decoding_flops:
        _memory(f"decoding, {_shape(figures.decoding)}", DECODING, figures.decoding_memory)
        beam = f"beam {figures.decoding.hypotheses}" if figures.decoding.hypotheses > 1 else "greedy"
        computation.append((f"decoding, {beam}", [f"{figures.decoding_flops / 1e6:,.1f} million"]))
    _table("computation for a target token", ["FLOPs"], computation)


def _shape(shape: "BatchShape") -> str:
    """`64 × 32 tokens`, sentences times their length."""
    beam = f", beam {shape.hypotheses}" if shape.hypotheses > 1 else ""
    return f"{shape.sentences:,} × {shape.positions} tokens{beam}"


def _memory(title: str, labels: dict[str, str], memory: "dict[Any, Any]", *more: tuple[str, list[str]]) -> None:
    """Memory by precision: a row for each kind, their sum, and further rows."""
    columns = {name: [getattr(kinds, field) for field in labels] for name, kinds in memory.items()}
    sums = ("all", [format_size(sum(column)) for column in columns.values()])
    rows = [
        (label, [format_size(column[row]) for column in columns.values()]) for row, label in enumerate(labels.values())
    ]
    _table(title, list(columns), [*rows, sums, *more])


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print a table of figures under a title, followed by an empty line."""
    print_table([title, *columns], [[label, *cells] for label, cells in rows], columns)
    out.print()
