"""The table of growing Transformers: published systems, counted and planned from their recipes."""

from collections.abc import Iterator
from dataclasses import dataclass

from s2s.devices.runtime import Precision
from s2s.models.device_memory import DeviceMemory, DevicePlanner, Parallel, Way
from s2s.models.fitting import USABLE, devices_needed, tokens_at_once
from s2s.models.profile import BYTES, PRECISIONS, typical_length
from s2s.recipe.load import load_recipe
from s2s.recipe.published import PUBLISHED, Published
from s2s.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class SystemTraining:
    """Training in one precision: bytes on each device, and devices needed."""

    one_device: DeviceMemory
    one_device_recomputed: DeviceMemory
    ddp: DeviceMemory
    ddp_recomputed: DeviceMemory
    fsdp: DeviceMemory
    fsdp_recomputed: DeviceMemory
    devices_needed: int | None  # with FSDP; None if no number of devices is enough
    devices_needed_recomputed: int | None


@dataclass(frozen=True, slots=True)
class SystemDecoding:
    """Bytes to decode one sequence in one precision."""

    weights: int
    cache: int  # keys and values of a whole context


@dataclass(frozen=True, slots=True)
class System:
    """A published system as s2s counts and plans it."""

    name: str
    recipe: str
    layers: dict[str, int]  # of encoder and decoder
    width: int
    heads: int
    ffn_size: int
    vocabulary: int
    context: int  # tokens of a sequence; of each side, for pairs of sentences
    published: int
    counted: int
    without_embeddings: int
    training_flops: int  # for a token
    tokens_at_once: int  # on each device, as the recipe counts them
    training: dict[Precision, SystemTraining]
    decoding: dict[Precision, SystemDecoding] | None  # None: it does not decode
    trained_on: str
    trained_with: str
    source: str


def systems(devices: int, limit: int) -> Iterator[System]:
    """Yield every system, planned for `devices` of `limit` bytes each."""
    usable = int(USABLE * limit)
    for name, facts in PUBLISHED.items():
        reference = name.replace("-", "/", 1)
        yield _system(reference, load_recipe(reference), facts, devices, usable)


def _system(reference: str, recipe: Recipe, facts: Published, devices: int, usable: int) -> System:
    planner, model = DevicePlanner(recipe), recipe.model
    sides = model.transformers
    last = list(sides.values())[-1]
    return System(
        name=facts.name,
        recipe=reference,
        layers={name: side.layers for name, side in sides.items()},
        width=model.embedding_size,
        heads=last.heads,
        ffn_size=last.ffn_size or 4 * model.embedding_size,
        vocabulary=recipe.tokenizer.vocab_size,
        context=context(recipe),
        published=facts.parameters,
        counted=planner.sizes.parameters,
        without_embeddings=planner.sizes.without_embeddings,
        training_flops=training_flops(recipe, planner),
        tokens_at_once=tokens_at_once(recipe, devices),
        training={precision: _training(planner, devices, usable, precision) for precision in PRECISIONS},
        decoding=None
        if model.architecture == "encoder_only"
        else {
            precision: SystemDecoding(BYTES[precision] * planner.sizes.parameters, BYTES[precision] * cached(recipe))
            for precision in PRECISIONS
        },
        trained_on=facts.text,
        trained_with=facts.hardware,
        source=facts.source,
    )


def _training(planner: DevicePlanner, devices: int, usable: int, precision: Precision) -> SystemTraining:
    recipe = planner.recipe

    def memory(parallel: Parallel, count: int, *, recompute: bool) -> DeviceMemory:
        found = planner.memory(Way(parallel, count, recompute, tokens_at_once(recipe, count)), precision)
        assert found is not None, "a Transformer can recompute its blocks"
        return found

    return SystemTraining(
        one_device=memory("none", 1, recompute=False),
        one_device_recomputed=memory("none", 1, recompute=True),
        ddp=memory("ddp", devices, recompute=False),
        ddp_recomputed=memory("ddp", devices, recompute=True),
        fsdp=memory("fsdp", devices, recompute=False),
        fsdp_recomputed=memory("fsdp", devices, recompute=True),
        devices_needed=devices_needed(planner, usable, precision, recompute=False),
        devices_needed_recomputed=devices_needed(planner, usable, precision, recompute=True),
    )


def context(recipe: Recipe) -> int:
    """Return the tokens of a sequence: source and target together where one stack of layers reads both."""
    return typical_length(recipe) * (2 if recipe.model.architecture == "decoder_only" else 1)


def training_flops(recipe: Recipe, planner: DevicePlanner) -> int:
    """Return the FLOPs of matrix products for a token, forward and backward, 6 for each parameter that it passes.

    With attention, 12 for each layer, position of the context and unit (Kaplan et al. 2020, section 2.1; Chowdhery et
    al. 2022, appendix B). A decoder that reads an encoder's memory attends twice; its encoder's share for an equally
    long source is included. Encoders are counted without a head.
    """
    H, architecture = recipe.model.embedding_size, recipe.model.architecture
    layers = 0
    for name, side in recipe.model.transformers.items():
        crossing = name == "decoder" and architecture == "encoder_decoder"
        # relative: scores of contents, and of twice as many distances
        layers += side.layers * (2 if crossing or side.positions == "relative" else 1)
    logits = 0 if architecture == "encoder_only" else recipe.tokenizer.vocab_size * H
    return 6 * (planner.sizes.matrices + logits) + 12 * layers * context(recipe) * H


def cached(recipe: Recipe) -> int:
    """Return how many numbers the cache of a sequence holds.

    Keys and values of each layer, and those of the source for cross-attention.
    """
    layers = recipe.model.transformers["decoder"].layers
    attended = 2 if recipe.model.architecture == "encoder_decoder" else 1
    return 2 * layers * attended * context(recipe) * recipe.model.embedding_size
