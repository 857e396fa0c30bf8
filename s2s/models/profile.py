"""How large a network is, before anything is allocated: parameters, memory, computation.

Exact are parameters, the memory of weights, gradients and optimizer, of what a decoder keeps between two steps, and the
FLOPs of matrix products. Working memory is an estimate: the most that tensors take at once, without what the libraries
need for themselves and what an allocator leaves unused. Attention is counted with its weights, which fused kernels do
not keep, and with the half that a causal mask hides, as is usual (Chowdhery et al. 2022, appendix B).

B sentences, K hypotheses of each, S source positions, T target positions, D width, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from s2s.devices.select import Precision
from s2s.models.build import build_model
from s2s.models.dry_run import DryAutocast, DryRun
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import Batch, TokenInput
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
BYTES = {"fp32": 4, "bf16": 2}
POSITIONS = 32  # S and T of a typical sentence, EOS included


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a network, and the parameters that belong to no part before it."""

    name: str
    parameters: int


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes in training. Under bf16 autocast weights, gradients and moments stay fp32 (Micikevicius et al. 2018,
    section 3.1).

    weights and gradients: 4 for each parameter. optimizer: 8 for each, AdamW's two moments (Loshchilov and Hutter
    2019), and 4 for the count of steps of each tensor. activations: estimate; what the backward pass needs and what is
    computed with, at its peak.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int


@dataclass(frozen=True, slots=True)
class DecodingMemory:
    """Bytes in decoding with weights in a precision.

    state: what is kept between two steps for all hypotheses of a batch, keys and caches included, with room for the
    longest translation. work: estimate; what a step computes with and copies when it re-orders hypotheses, at its peak.
    """

    weights: int
    state: int
    work: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What is computed at once: B sentences of S = T positions, K hypotheses of each (1 in training)."""

    sentences: int
    positions: int
    hypotheses: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe's network in figures.

    `training_flops`, `decoding_flops`: of matrix products, for each target token of a sentence whose source is as long,
    the encoder's share included. In training forwards and backwards, about 6 for each parameter of a matrix that a
    token passes (Kaplan et al. 2020, section 2.1), and attention; in decoding all hypotheses together.
    """

    parts: list[Part]
    training: Shape
    training_memory: dict[Precision, TrainingMemory]
    training_flops: float
    decoding: Shape
    decoding_memory: dict[Precision, DecodingMemory]
    decoding_flops: float

    @property
    def parameters(self) -> int:
        """All of them, shared ones once."""
        return sum(part.parameters for part in self.parts)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run takes: FLOPs, bytes of working memory at their peak, bytes that are left in a state."""

    flops: int
    work: int
    state: int = 0


def parameters(network: nn.Module) -> int:
    """Trained numbers of a network, shared ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


def plan(recipe: Recipe) -> Plan:
    """Return the sizes and costs of a recipe's network for its training and decoding batches."""
    network = meta_model(recipe)
    training, decoding = training_shape(recipe), decoding_shape(recipe)
    trained = {precision: training_cost(network, training, precision) for precision in PRECISIONS}
    decoded = {precision: decoding_cost(network, decoding, precision, recipe.decoding) for precision in PRECISIONS}
    return Plan(
        parts=parts(network),
        training=training,
        training_memory={name: training_memory(network, cost.work) for name, cost in trained.items()},
        training_flops=trained["fp32"].flops / (training.sentences * training.positions),
        decoding=decoding,
        decoding_memory={
            name: DecodingMemory(BYTES[name] * parameters(network), cost.state, cost.work)
            for name, cost in decoded.items()
        },
        decoding_flops=decoded["fp32"].flops / (decoding.sentences * decoding.positions),
    )


def meta_model(recipe: Recipe) -> EncoderDecoder:
    """Build the recipe's network on the meta device, without allocating memory or drawing random numbers."""
    with torch.device("meta"), DryRun():
        return build_model(recipe.model, recipe.tokenizer.vocab_size)


def training_shape(recipe: Recipe) -> Shape:
    """Return the shape of a training batch filled with typical sentences."""
    positions = min(POSITIONS, recipe.data.max_length + 1)
    return Shape(max(1, recipe.training.batch_tokens // positions), positions)


def decoding_shape(recipe: Recipe) -> Shape:
    """Return the shape of a decoding batch filled with typical sentences and their hypotheses."""
    positions, beam = min(POSITIONS, recipe.data.max_length + 1), recipe.decoding.beam_size
    return Shape(max(1, recipe.decoding.batch_tokens // beam // positions), positions, beam)


def parts(network: EncoderDecoder) -> list[Part]:
    """Tables of embeddings, encoder, decoder and output projection; a shared table once, by all its names."""
    tables: dict[Tensor, list[str]] = {}
    for name, table in _tables(network):
        tables.setdefault(table, []).append(name)
    found = [Part(_in_words(names), table.numel()) for table, names in tables.items()]
    counted = set(tables)
    for name, module in (("encoder", network.encoder), ("decoder", network.decoder), ("output bias", network)):
        own = set(module.parameters()) - counted
        counted |= own
        found.append(Part(name, sum(parameter.numel() for parameter in own)))
    return [part for part in found if part.parameters]


def _tables(network: EncoderDecoder) -> Iterator[tuple[str, Tensor]]:
    """Each use of a table [V, D], and the table."""
    V = len(network.weight)
    for name, side in (("source", network.encoder), ("target", network.decoder)):
        for module in side.modules():
            if isinstance(module, nn.Embedding) and module.num_embeddings == V:
                yield name, module.weight
    yield "output", network.weight


def _in_words(names: list[str]) -> str:
    """`embeddings: source, target, output (one table)`."""
    if names == ["output"]:
        return "output projection"
    return f"embeddings: {', '.join(names)}{' (one table)' if len(names) > 1 else ''}"


def training_memory(network: nn.Module, activations: int) -> TrainingMemory:
    """Bytes in training, given those of activations."""
    numbers = parameters(network)
    return TrainingMemory(
        weights=4 * numbers,
        gradients=4 * numbers,
        optimizer=8 * numbers + 4 * len(list(network.parameters())),
        activations=activations,
    )


def training_cost(network: EncoderDecoder, shape: Shape, precision: Precision) -> Cost:
    """Return the cost of one forward and backward pass, without weights and gradients."""
    network.train()
    ids = torch.empty(shape.sentences, shape.positions, dtype=torch.long, device="meta")
    lengths = torch.empty(shape.sentences, dtype=torch.long, device="meta")
    gradients = [torch.empty(parameter.shape, device="meta") for parameter in network.parameters()]
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        parameter.grad = gradient
    with DryRun([*network.parameters(), *network.buffers(), *gradients, ids, lengths]) as run:
        with DryAutocast(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            sums = network(Batch(TokenInput(ids, lengths), inputs=ids, labels=ids))
        (sums.loss / sums.tokens).backward()
    network.zero_grad()
    return Cost(run.flops, run.peak)


@torch.no_grad()
def decoding_cost(network: EncoderDecoder, shape: Shape, precision: Precision, options: DecodingOptions) -> Cost:
    """Return the cost of a search whose outputs are as long as the sources, without weights.

    The first three steps are run. The first has one hypothesis; the FLOPs of the others rise evenly, as attention's to
    a growing cache do, or not at all.
    """
    network.eval()
    B, K, T = shape.sentences, shape.hypotheses, shape.positions
    ids = torch.empty(B, T, dtype=torch.long, device="meta")
    lengths = torch.empty(B, dtype=torch.long, device="meta")
    room = max(T, int(options.max_ratio * (T - 1)) + 10)
    flops = []
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    run = DryRun([*network.parameters(), *network.buffers(), ids, lengths])
    with run, autocast, DryAutocast(), torch.device("meta"):
        state = network.start(TokenInput(ids, lengths), max_steps=room)
        for hypotheses in (1, K, K):
            step, state = network.step(torch.empty(B, hypotheses, dtype=torch.long), state)
            step.logits.exp()  # the search's logsumexp takes as much again
            state = state.select(torch.arange(B), torch.empty(B, K, dtype=torch.long))
            flops.append(run.flops)
    first, second, third = flops[0], flops[1] - flops[0], flops[2] - flops[1]
    later = (T - 1) * second + (third - second) * (T - 1) * (T - 2) // 2
    kept = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in _tensors(state)}
    return Cost(first + later, run.peak - sum(kept.values()), sum(kept.values()))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor inside a state."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
