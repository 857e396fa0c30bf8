"""Sizes and costs of an encoder-only network, which is planned and not trained."""

from s2s.models.device_memory import DevicePlanner, network_of
from s2s.models.profile import (
    CPU_LIBRARIES,
    PRECISIONS,
    Part,
    Plan,
    TrainingMemory,
    training_cost,
    training_shape,
)
from s2s.models.sizes import count
from s2s.recipe.recipe import Recipe


def plan_encoder(recipe: Recipe) -> Plan:
    """Return the sizes and costs of an encoder-only recipe's network for its training batches."""
    sizes, shape, network = DevicePlanner(recipe).sizes, training_shape(recipe), network_of(recipe)
    costs = {precision: training_cost(network, shape, precision) for precision in PRECISIONS}
    memory = {
        precision: TrainingMemory(
            weights=4 * sizes.parameters,
            gradients=4 * sizes.parameters,
            optimizer=8 * sizes.parameters + 4 * len(sizes.shapes),
            activations=cost.work,
        )
        for precision, cost in costs.items()
    }
    blocks = sum(map(count, sizes.blocks))
    others = sizes.parameters - blocks - count(sizes.tables)
    return Plan(
        parts=[
            Part("embeddings", count(sizes.tables)),
            Part("encoder", blocks),
            Part("norm, pooler, others", others),
        ],
        training=shape,
        training_memory=memory,
        training_on_cpu={name: CPU_LIBRARIES + part.on_cpu(name) for name, part in memory.items()},
        training_flops=costs["fp32"].flops / (shape.sentences * shape.positions),
        decoding=None,
        decoding_memory={},
        decoding_flops=None,
    )
