"""`s2s plan`: how large a recipe's network is, before it is trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, SetValues
from s2s.cli.tables import print_table
from s2s.report.console import out
from s2s.report.format import format_size

if TYPE_CHECKING:
    from s2s.models.profile import BatchShape, Plan
    from s2s.recipe.recipe import Recipe

TRAINING = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "AdamW's moments",
    "activations": "activations (estimate)",
}
DECODING = {"weights": "weights", "state": "keys, caches, states", "work": "working memory (estimate)"}


def plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a built-in recipe, or a recipe file.")],
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the parameters, memory and FLOPs of a recipe's model, without data or training.

    Parameter, gradient, optimizer and decoder-state sizes and matmul FLOPs are exact; activations are estimates.
    Training in bf16 keeps weights in fp32. A process on a CPU also holds its libraries and freed memory.

    Examples:
        s2s plan multi30k/attention
        s2s plan numbers/attention --set model.decoder.hidden_size=512 --json
    """
    from s2s.models.profile import plan as planned
    from s2s.recipe.load import load_recipe

    loaded = load_recipe(recipe, values or [])
    figures = planned(loaded)
    if as_json:
        print_json(_as_json(loaded, figures))
        return
    _show(loaded, figures)
    note(f"Next: s2s train {recipe}")


def _as_json(recipe: "Recipe", figures: "Plan") -> dict[str, Any]:
    """Return the figures, memory in bytes."""
    from dataclasses import asdict

    words = {"name": recipe.name, "architecture": recipe.model.describe(), "vocab_size": recipe.tokenizer.vocab_size}
    return words | {"parameters": figures.parameters} | asdict(figures)


def _show(recipe: "Recipe", figures: "Plan") -> None:
    """Format the figures as tables."""
    out.print(f"{recipe.name}: {recipe.model.describe()}\n", style="bold", soft_wrap=True)
    rows = [(part.name, [f"{part.parameters:,}"]) for part in figures.parts]
    _table("part", ["parameters"], [*rows, ("all", [f"{figures.parameters:,}"])])
    process = ("process on a CPU (estimate)", [format_size(size) for size in figures.training_on_cpu.values()])
    _memory(f"training, {_shape(figures.training)}", TRAINING, figures.training_memory, process)
    _memory(f"decoding, {_shape(figures.decoding)}", DECODING, figures.decoding_memory)
    beam = f"beam {figures.decoding.hypotheses}" if figures.decoding.hypotheses > 1 else "greedy"
    _table(
        "computation for a target token",
        ["FLOPs"],
        [
            ("training", [f"{figures.training_flops / 1e6:,.1f} million"]),
            (f"decoding, {beam}", [f"{figures.decoding_flops / 1e6:,.1f} million"]),
        ],
    )


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
