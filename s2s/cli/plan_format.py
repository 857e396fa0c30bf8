"""Tables of `s2s plan`: what fits several devices, and the published systems."""

from collections.abc import Sequence
from shlex import join
from typing import TYPE_CHECKING, Any

from s2s.cli.tables import print_table
from s2s.report.console import out
from s2s.report.format import counted, format_size

if TYPE_CHECKING:
    from s2s.devices.runtime import Precision
    from s2s.models.device_memory import Way
    from s2s.models.fitting import DevicePlan, Planned
    from s2s.models.systems import System
    from s2s.recipe.recipe import Recipe

PARALLEL = {"none": "one device", "ddp": "DDP", "fsdp": "FSDP"}


def memory_limit(limit: int) -> str:
    """Return a limit of memory as `80 GiB`."""
    return f"{limit / 2**30:,.4g} GiB"


def way_settings(way: "Way", recipe: "Recipe") -> list[str]:
    """Return the keys and values that train a recipe in this way, where they are not its own."""
    from s2s.models.fitting import tokens_at_once

    settings = ["training.parallel=fsdp"] if way.parallel == "fsdp" != recipe.training.parallel else []
    settings += ["training.recompute=true"] if way.recompute and not recipe.training.recompute else []
    if recipe.training.micro_batch_tokens != "auto" and way.tokens < tokens_at_once(recipe, way.devices):
        settings.append(f"training.micro_batch_tokens={way.tokens}")
    return settings


def train_command(reference: str, given: Sequence[str], planned: "Planned | None", recipe: "Recipe") -> str:
    """Return the command that trains a recipe, in a way that fits if one was planned."""
    settings = way_settings(planned.way, recipe) if planned else []
    values = [part for value in (*given, *settings) for part in ("--set", value)]
    processes = ["--processes", str(planned.way.devices)] if planned and planned.way.devices > 1 else []
    return join(["s2s", "train", reference, *values, *processes])


def devices_as_json(plan: "DevicePlan", recipe: "Recipe") -> dict[str, Any]:
    """Return what fits, memory in bytes on each device."""
    from dataclasses import asdict

    def described(planned: "Planned") -> dict[str, Any]:
        memory = {
            precision: asdict(one) | {"total": one.total, "fits": one.total <= plan.usable}
            for precision, one in planned.memory.items()
        }
        return asdict(planned.way) | {"settings": way_settings(planned.way, recipe), "memory": memory}

    return {
        "count": plan.devices,
        "usable": plan.usable,
        "precision": plan.precision,
        "ways": [described(one) for one in plan.ways],
        "advised": described(plan.advised) if plan.advised else None,
    }


def show_devices(plan: "DevicePlan", recipe: "Recipe", limit: int) -> None:
    """Print what each way of training takes of each device, and whether it fits."""
    title = f"{counted(plan.devices, 'device')}, each"
    columns = [title, "tokens at once", *(name for one in ("fp32", "bf16") for name in (one, f"fits in {one}"))]
    rows = []
    for planned in plan.ways:
        cells = [way_name(planned.way), f"{planned.way.tokens:,}"]
        for memory in planned.memory.values():
            cells += [format_size(memory.total), "yes" if memory.total <= plan.usable else "no"]
        rows.append(cells)
    print_table(columns, rows, ["tokens at once", "fp32", "bf16"])
    out.print()
    usable = f"Of {memory_limit(limit)}, {format_size(plan.usable)} are used; the rest is left to CUDA and libraries."
    out.print(f"{usable}\n{_advice(plan, recipe)}", soft_wrap=True)


def way_name(way: "Way") -> str:
    """Return `FSDP over 8, recomputing`."""
    devices = f" over {way.devices}" if way.devices > 1 else ""
    return f"{PARALLEL[way.parallel]}{devices}{', recomputing' if way.recompute else ''}"


def _advice(plan: "DevicePlan", recipe: "Recipe") -> str:
    if plan.advised is None:
        return f"In {plan.precision}, nothing fits: take a smaller network or larger devices."
    way = plan.advised.way
    size = format_size(plan.advised.memory[plan.precision].total)
    settings = way_settings(way, recipe)
    more = [counted(way.devices, "device")] if way.devices != plan.devices else []
    if not (settings or more):
        return f"It fits as it is, in {plan.precision}: {way_name(way)}, {size} on each device."
    change = ", ".join([*more, *(f"--set {setting}" for setting in settings)])
    return f"In {plan.precision}, it fits with {change}: {size} on each device."


def system_as_json(system: "System") -> dict[str, Any]:
    """Return the figures of a system, memory in bytes."""
    from dataclasses import asdict

    values = asdict(system)
    for precision, training in system.training.items():
        for way, memory in values["training"][precision].items():
            if isinstance(memory, dict):
                memory["total"] = getattr(training, way).total
    return values


def show_systems(found: "Sequence[System]", devices: int, limit: int) -> None:
    """Print the published systems in several tables."""
    print_table(
        ["system", "layers", "width", "heads", "context", "published", "counted", "without embeddings", "FLOPs/token"],
        [
            [
                one.name,
                "+".join(map(str, one.layers.values())),
                f"{one.width:,}",
                f"{one.heads}",
                f"{one.context:,}",
                f"{one.published / 1e6:,.0f} M",
                f"{one.counted:,}",
                f"{one.without_embeddings:,}",
                f"{one.training_flops / 1e9:,.2f} G",
            ]
            for one in found
        ],
        ["layers", "width", "heads", "context", "published", "counted", "without embeddings", "FLOPs/token"],
    )
    precisions: tuple[Precision, ...] = ("bf16", "fp32")
    out.print()
    out.print(
        f"Memory of each device in training, with AdamW. Devices needed: of {memory_limit(limit)}, with FSDP.",
        soft_wrap=True,
    )
    for precision in precisions:
        out.print()
        _show_training(found, devices, precision)
    out.print()
    columns = [f"{kind}, {precision}" for precision in precisions for kind in ("weights", "cache")]
    print_table(
        ["decoding a context", *columns],
        [
            [one.name, *(format_size(size) for name in precisions for size in _decoding(one, name))]
            for one in found
            if one.decoding
        ],
        columns,
    )
    out.print()
    print_table(
        ["system", "trained on", "trained with", "source"],
        [[one.name, one.trained_on, one.trained_with, one.source] for one in found],
    )


def _show_training(found: "Sequence[System]", devices: int, precision: "Precision") -> None:
    """Print the memory of each device in training."""
    columns = [
        "weights",
        "gradients",
        "optimizer",
        "activations",
        "recomputed",
        "one device",
        f"DDP over {devices}",
        f"FSDP over {devices}",
        "FSDP, recomputing",
        "devices needed",
        "needed, recomputing",
    ]
    rows = []
    for one in found:
        training = one.training[precision]
        alone = training.one_device
        sizes = [alone.weights, alone.gradients, alone.optimizer, alone.activations]
        sizes += [training.one_device_recomputed.activations, alone.total, training.ddp.total]
        sizes += [training.fsdp.total, training.fsdp_recomputed.total]
        needed = [training.devices_needed, training.devices_needed_recomputed]
        rows.append([one.name, *map(format_size, sizes), *(f"{count or '–'}" for count in needed)])
    print_table([f"training in {precision}", *columns], rows, columns)


def _decoding(system: "System", precision: "Precision") -> tuple[int, int]:
    assert system.decoding is not None
    return system.decoding[precision].weights, system.decoding[precision].cache
