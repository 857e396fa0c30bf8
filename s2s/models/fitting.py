"""Ways of training that fit the memory of several devices, or the smallest change that makes one fit."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from s2s.devices.runtime import SMALL, Precision
from s2s.models.device_memory import DeviceMemory, DevicePlanner, Parallel, Way, share
from s2s.models.profile import PRECISIONS, typical_length
from s2s.recipe.recipe import Recipe

POWERS = [2**exponent for exponent in range(11)]  # numbers of devices to look among, and between
USABLE = 0.9  # share of a device's memory; the rest is left to CUDA's context, libraries and fragments


@dataclass(frozen=True, slots=True)
class Planned:
    """A way to train and the memory it takes on each device."""

    way: Way
    memory: dict[Precision, DeviceMemory]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What fits devices of the same memory."""

    devices: int
    usable: int  # bytes of each device
    precision: Precision  # in which the recipe trains on a GPU
    ways: list[Planned]  # at the recipe's batch
    advised: Planned | None  # the recipe as it is, or with the fewest changes; None if nothing fits


def plan_devices(recipe: Recipe, devices: int, limit: int) -> DevicePlan:
    """Return which ways of training a recipe fit devices of `limit` bytes, and which of them changes the least."""
    usable = int(USABLE * limit)
    planner = DevicePlanner(recipe)
    precision = _precision(recipe, planner)
    tokens = tokens_at_once(recipe, devices)
    alone = [Way("none", 1, recompute, tokens_at_once(recipe, 1)) for recompute in (False, True)]
    kinds: tuple[Parallel, ...] = ("ddp", "fsdp")
    shared = [Way(kind, devices, recompute, tokens) for kind in kinds for recompute in (False, True)]
    ways = [*alone, *(shared if devices > 1 else [])]
    found = [_planned(planner, way) for way in ways]
    advised = _advised(planner, devices, usable, precision)
    return DevicePlan(devices, usable, precision, [one for one in found if one], advised)


def devices_needed(planner: DevicePlanner, usable: int, precision: Precision, *, recompute: bool) -> int | None:
    """Return the fewest devices on which training fits, with FSDP if it takes several; None if no number does."""

    def fits(devices: int) -> bool:
        way = Way("fsdp" if devices > 1 else "none", devices, recompute, tokens_at_once(planner.recipe, devices))
        memory = planner.memory(way, precision)
        return memory is not None and memory.total <= usable

    enough = next((count for count in POWERS if fits(count)), None)  # the more devices, the less for each
    if enough is None:
        return None
    return bisect_left(range(enough), True, lo=enough // 2 + 1, key=fits)


def tokens_at_once(recipe: Recipe, devices: int) -> int:
    """Return the tokens that each device computes at once: its share of a batch, or a micro-batch."""
    micro = recipe.training.micro_batch_tokens
    return min(share(recipe, devices), int(micro)) if micro not in (0, "auto") else share(recipe, devices)


def _advised(planner: DevicePlanner, devices: int, usable: int, precision: Precision) -> Planned | None:
    """Return the way that fits with the fewest changes.

    Among equals, prefer FSDP, then smaller micro-batches, then recomputation. If nothing fits, the number of devices is
    doubled until something does.
    """
    for factor in POWERS:
        for way in _changed(planner.recipe, devices * factor):
            memory = planner.memory(way, precision)
            if memory and memory.total <= usable:
                return _planned(planner, way)
    return None


def _changed(recipe: Recipe, devices: int) -> Iterator[Way]:
    """Yield the ways to train on several devices: the recipe's own, and with one, two or three things changed."""
    own: Parallel = recipe.training.parallel if devices > 1 else "none"
    for recompute, smaller, sharded in sorted(product((False, True), repeat=3), key=sum):
        if (sharded and own != "ddp") or (recompute and recipe.training.recompute):
            continue  # no change
        for tokens in _smaller(recipe, devices) if smaller else [tokens_at_once(recipe, devices)]:
            yield Way("fsdp" if sharded else own, devices, recompute or recipe.training.recompute, tokens)


def _smaller(recipe: Recipe, devices: int) -> Iterator[int]:
    """Yield a half, a quarter … of the tokens computed at once, down to one sentence."""
    tokens = tokens_at_once(recipe, devices)
    while tokens > typical_length(recipe):
        tokens = max(tokens // 2, typical_length(recipe))
        yield tokens


def _planned(planner: DevicePlanner, way: Way) -> Planned | None:
    memory = {precision: planner.memory(way, precision) for precision in PRECISIONS}
    found = {precision: one for precision, one in memory.items() if one}
    return Planned(way, found) if found else None


def _precision(recipe: Recipe, planner: DevicePlanner) -> Precision:
    chosen = recipe.training.precision
    if chosen == "auto":
        return "bf16" if planner.sizes.parameters >= SMALL else "fp32"
    return "bf16" if chosen == "bf16" else "fp32"
