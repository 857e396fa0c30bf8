"""Memory of training on several devices, and the counted sizes of published systems."""

from math import ceil, prod

import pytest

from s2s.errors import UsageError
from s2s.models.device_memory import DevicePlanner, Parallel, Way, sizes_of
from s2s.models.fitting import plan_devices
from s2s.models.interface import Objective
from s2s.models.profile import BatchShape, Precision, meta_model, training_cost, typical_length
from s2s.models.systems import training_flops
from s2s.recipe.load import load_recipe
from s2s.recipe.model import ModelOptions
from s2s.recipe.published import PUBLISHED
from s2s.recipe.recipe import Recipe

COUNTED = {
    "transformer-base": 63_082_496,
    "transformer-big": 214_245_376,
    "bert-base": 109_482_240,
    "bert-large": 335_141_888,
    "xlnet-large": 360_268_800,
    "roberta-large": 355_359_744,
    "gpt2-small": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "megatron-1.2b": 1_213_479_936,
    "megatron-2.5b": 2_490_408_960,
    "megatron-4.2b": 4_199_109_120,
    "megatron-8.3b": 8_317_040_640,
}
V, E, F, N, T = 23, 12, 20, 3, 5
LAYERS = {"encoder": 3, "decoder": 2}


def recipe(architecture: str, **training: object) -> Recipe:
    block = {"family": "transformer", "heads": N, "ffn_size": F}
    sides = {side: block | {"layers": layers} for side, layers in LAYERS.items()}
    if architecture == "decoder_only":
        del sides["encoder"]
    if architecture == "encoder_only":
        del sides["decoder"]
        sides["encoder"] |= {"positions": "learned", "max_positions": 7, "token_types": 2}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "data": {"kind": "generator", "filters": [{"name": "length", "max": T - 1}]},
            "tokenizer": {"vocab_size": V},
            "model": {"architecture": architecture, "embedding_size": E, "output_bias": False, **sides},
            "training": {"batch_tokens": 40, **training},
        }
    )


ARCHITECTURES = pytest.mark.parametrize("architecture", ["encoder_decoder", "decoder_only", "encoder_only"])


@pytest.mark.parametrize("name", COUNTED)
def test_published_systems_are_counted(name: str) -> None:
    assert f"scaling-{name}" in PUBLISHED
    assert len(PUBLISHED) == len(COUNTED)
    assert sizes_of(load_recipe(f"scaling/{name}")).parameters == COUNTED[name]


@pytest.mark.parametrize(
    ("name", "side"), [("bert-base", "encoder"), ("xlnet-large", "encoder"), ("gpt2-small", "decoder")]
)
def test_heads_do_not_change_the_count(name: str, side: str) -> None:
    assert sizes_of(load_recipe(f"scaling/{name}", [f"model.{side}.heads=4"])).parameters == COUNTED[name]


def test_positions_vocabulary_and_ties_do() -> None:
    def counted(*values: str) -> int:
        return sizes_of(load_recipe("scaling/gpt2-small", values)).parameters

    assert counted("model.decoder.max_positions=1026") - COUNTED["gpt2-small"] == 2 * 768
    assert counted("tokenizer.vocab_size=51200") - COUNTED["gpt2-small"] == 943 * 768
    assert counted("model.tied_embeddings=none") - COUNTED["gpt2-small"] == 50_257 * 768
    assert counted("model.output_bias=true") - COUNTED["gpt2-small"] == 50_257


@pytest.mark.parametrize(("precision", "side"), [("fp32", 4), ("bf16", 4)])
def test_weights_gradients_and_moments_take_16_bytes_a_parameter(precision: Precision, side: int) -> None:
    planner = DevicePlanner(recipe("decoder_only"))
    count = planner.sizes.parameters
    for parallel, devices in (("none", 1), ("ddp", 3)):
        memory = planner.memory(Way(parallel, devices, False, 10), precision)  # type: ignore[arg-type]
        assert memory is not None
        assert (memory.weights, memory.gradients, memory.optimizer) == (side * count, side * count, 2 * side * count)
        assert memory.gathered == 0
        products = sum(prod(shape) for block in planner.sizes.blocks for shape in block if len(shape) > 1)
        biases = LAYERS["decoder"] * (3 * E + E + F + E)
        assert memory.copies == (2 * (products + biases) if precision == "bf16" else 0)
        recomputed = planner.memory(Way(parallel, devices, True, 10), precision)  # type: ignore[arg-type]
        assert recomputed is not None
        assert recomputed.copies == memory.copies // LAYERS["decoder"]


@pytest.mark.parametrize(("tokens", "whole"), [(14, False), (7, True)])
def test_fsdp_divides_rows_and_gathers_what_it_works_on(tokens: int, whole: bool) -> None:
    """A batch of 40 tokens is 14 for each of three devices; in micro-batches, gradients are not divided."""
    planner = DevicePlanner(recipe("decoder_only"))
    shapes = [tuple(parameter.shape) for parameter in meta_model(planner.recipe).parameters()]
    own = sum(ceil(shape[0] / 3) * prod(shape[1:]) for shape in shapes)
    block = 4 * E * E + 4 * E + 2 * E * F + F + E + 4 * E
    outside = V * E + 2 * E  # two blocks are all there are
    memory = planner.memory(Way("fsdp", 3, False, tokens), "fp32")
    assert memory is not None
    assert (memory.weights, memory.optimizer) == (4 * own, 8 * own)
    assert memory.gradients == 4 * (planner.sizes.parameters if whole else own)
    assert memory.gathered == (1 if whole else 2) * 4 * (outside + 2 * block)


@ARCHITECTURES
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_of_many_layers_follow_from_those_of_two(architecture: str, precision: Precision) -> None:
    tiny = recipe(architecture)
    planner = DevicePlanner(tiny)
    found = planner.activations(40, precision)
    shape = BatchShape(40 // T, T)
    cost = planner._cost({side: options.layers for side, options in tiny.model.transformers.items()}, shape, precision)
    assert found.copies == cost.copies
    assert found.stored == pytest.approx(cost.work - cost.copies, rel=0.03)
    assert found.recomputed is not None
    assert found.recomputed < found.stored


def test_networks_without_blocks_are_neither_sharded_nor_recomputed() -> None:
    planned = plan_devices(load_recipe("numbers/attention"), 2, 2**30)
    assert [(one.way.parallel, one.way.recompute) for one in planned.ways] == [
        ("none", False),
        ("ddp", False),
    ]


@pytest.mark.parametrize("architecture", ["encoder_decoder", "decoder_only"])
def test_flops_of_a_token_are_those_of_a_dry_run(architecture: str) -> None:
    tiny = recipe(architecture)
    assert typical_length(tiny) == T
    cost = training_cost(meta_model(tiny), BatchShape(1, T), "fp32", Objective.of(tiny.training))
    tokens = T if architecture == "encoder_decoder" else 2 * T
    found = training_flops(tiny, DevicePlanner(tiny)) * tokens
    logits, mean = 6 * V * E, 2 * E  # the loss also multiplies each hidden vector with the mean of the table
    if architecture == "encoder_decoder":
        assert cost.flops == found + T * mean
        return
    # the source attends to itself alone, needs of the last layer only its first projections, and no logits
    L = LAYERS["decoder"]
    attention = 12 * E * (L * 4 * T * T - (L - 1) * T * T - L * 2 * T * T)
    assert cost.flops == found - T * (logits + 6 * (E * E + 2 * E * F)) - attention + T * mean


def test_the_change_advised_is_the_smallest() -> None:
    tiny = recipe("decoder_only")
    planner = DevicePlanner(tiny)

    def total(parallel: Parallel, *, recompute: bool = False, tokens: int = 14) -> int:
        memory = planner.memory(Way(parallel, 3, recompute, tokens), "fp32")
        assert memory is not None
        return memory.total

    def advised(limit: int) -> Way:
        planned = plan_devices(tiny, 3, ceil(limit / 0.9) + 1)
        assert planned.advised is not None
        return planned.advised.way

    assert advised(total("ddp")) == Way("ddp", 3, False, 14)
    assert total("fsdp") < total("ddp")
    assert advised(total("fsdp")) == Way("fsdp", 3, False, 14)
    assert plan_devices(tiny, 3, 1000).advised is None


def test_relative_positions_and_token_types_are_only_planned() -> None:
    block = {"family": "transformer", "heads": 2}
    for changed, key in (({"positions": "relative"}, "positions"), ({"token_types": 2}, "token_types")):
        with pytest.raises(ValueError, match=f"{key}.*encoder_only"):
            ModelOptions.model_validate({"encoder": block | changed})
    with pytest.raises(ValueError, match="learned"):
        ModelOptions.model_validate({"architecture": "encoder_only", "encoder": block})
    with pytest.raises(UsageError, match="has no decoder"):
        load_recipe("scaling/bert-base", ["model.decoder.layers=2"])
