"""Size and cost of a recipe's network, computed on the meta device before anything is allocated.

Parameter, gradient, optimizer and decoder-state sizes and matmul FLOPs are exact. Activations and working memory are
estimates: the peak of all live tensors, without the libraries' own buffers and the allocator's unused blocks. Attention
counts the half that a causal mask hides, as is usual (Chowdhery et al. 2022, appendix B), and on a CPU its matrix
[B, N, T, S], which a GPU's fused kernels do not store.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from s2s.devices.runtime import DeviceKind, Precision, planning_for, tuning
from s2s.models.build import build_model
from s2s.models.dry_run import DryAutocast, DryRun, FusedAttention
from s2s.models.interface import NLL, Batch, ImageInput, Objective, Source, TokenInput
from s2s.models.network import Network
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.image_size import ImageSize
from s2s.recipe.recipe import Recipe

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
BYTES = {"fp32": 4, "bf16": 2}
TYPICAL_LENGTH = 32  # S and T of a typical sentence, including EOS

# Resident memory on a CPU, measured with PyTorch 2.13 and glibc on two processors: bytes of Python and libraries, and
# activations as a multiple of the estimate. Freed blocks stay in the heap, and oneDNN copies the factors in bf16.
CPU_LIBRARIES = 400 * 2**20
CPU_ACTIVATIONS = {"fp32": 1.4, "bf16": 1.9}


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a network."""

    name: str
    parameters: int  # without those shared with an earlier part


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes in training; with bf16 autocast, all but activations stay fp32 (Micikevicius et al. 2018, section 3.1)."""

    weights: int  # 4 per parameter
    gradients: int  # 4 per parameter
    optimizer: int  # 8 per parameter for AdamW's two moments (Loshchilov and Hutter 2019), 4 per tensor for its step
    activations: int  # estimate: peak of tensors saved for the backward pass and of working memory

    def on_cpu(self, precision: Precision) -> int:
        """Return the resident bytes that training adds to a process on a CPU."""
        return self.weights + self.gradients + self.optimizer + int(CPU_ACTIVATIONS[precision] * self.activations)


@dataclass(frozen=True, slots=True)
class DecodingMemory:
    """Bytes in decoding in one precision."""

    weights: int
    state: int  # decoding state of all hypotheses of a batch, with caches for the longest translation
    work: int  # estimate: peak working memory of a step and of the copy that reorders hypotheses


@dataclass(frozen=True, slots=True)
class BatchShape:
    """Shape of a batch whose sources, unless they are images, and targets are equally long."""

    sentences: int  # B
    positions: int  # S = T
    hypotheses: int = 1  # K; 1 in training
    image_size: ImageSize | None = None  # if sources are images

    def source(self) -> Source:
        """Return sources of this shape on the meta device."""
        if self.image_size:
            height, width, channels = self.image_size.shape
            dtype = torch.float16 if self.image_size.features else torch.uint8
            return ImageInput(torch.empty(self.sentences, channels, height, width, dtype=dtype, device="meta"))
        ids = torch.empty(self.sentences, self.positions, dtype=torch.long, device="meta")
        return TokenInput(ids, torch.empty(self.sentences, dtype=torch.long, device="meta"))


@dataclass(frozen=True, slots=True)
class Plan:
    """Size and cost of a recipe's network.

    FLOPs are those of matrix products per target token, including the encoder's for an equally long source. Training
    needs about 6 per matrix parameter that a token passes (Kaplan et al. 2020, section 2.1), plus attention.
    """

    parts: list[Part]
    training: BatchShape
    training_memory: dict[Precision, TrainingMemory]
    training_on_cpu: dict[Precision, int]  # resident bytes of the process
    training_flops: float  # forward and backward pass
    decoding: BatchShape | None  # None: it does not decode, as for the next two
    decoding_memory: dict[Precision, DecodingMemory]
    decoding_flops: float | None  # all hypotheses together

    @property
    def parameters(self) -> int:
        """Number of parameters; shared ones count once."""
        return sum(part.parameters for part in self.parts)


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one run."""

    flops: int
    work: int  # peak working memory in bytes, copies included
    state: int = 0  # bytes of the decoding state
    copies: int = 0  # bytes of the copies of weights that autocast makes


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters of a network; shared ones count once."""
    return sum(parameter.numel() for parameter in network.parameters())


def plan(recipe: Recipe) -> Plan:
    """Return the sizes and costs of a recipe's network for its training and decoding batches."""
    network = meta_model(recipe)
    training, decoding = training_shape(recipe), decoding_shape(recipe)
    objective = Objective.of(recipe.training)
    trained = {precision: training_cost(network, training, precision, objective) for precision in PRECISIONS}
    decoded = {precision: decoding_cost(network, decoding, precision, recipe.decoding) for precision in PRECISIONS}
    memory = {name: training_memory(network, cost.work) for name, cost in trained.items()}
    return Plan(
        parts=parts(network),
        training=training,
        training_memory=memory,
        training_on_cpu={name: CPU_LIBRARIES + part.on_cpu(name) for name, part in memory.items()},
        training_flops=trained["fp32"].flops / (training.sentences * training.positions),
        decoding=decoding,
        decoding_memory={
            name: DecodingMemory(BYTES[name] * count_parameters(network), cost.state, cost.work)
            for name, cost in decoded.items()
        },
        decoding_flops=decoded["fp32"].flops / (decoding.sentences * decoding.positions),
    )


def meta_model(recipe: Recipe, vocab_size: int | None = None) -> Network:
    """Build the recipe's network on the meta device, without allocating memory or drawing random numbers.

    `vocab_size`: that of the trained tokenizer; default: the recipe's.
    """
    with torch.device("meta"), DryRun():
        return build_model(recipe.model, vocab_size or recipe.tokenizer.vocab_size)


def training_shape(recipe: Recipe, tokens: int | None = None) -> BatchShape:
    """Return the shape of a batch of typical sentences of so many tokens, by default of what is computed at once."""
    positions, micro = typical_length(recipe), recipe.training.micro_batch_tokens
    if tokens is None:
        tokens = recipe.training.batch_tokens if micro in (0, "auto") else int(micro)
    sentences = max(1, tokens // positions)
    return BatchShape(sentences, positions, image_size=recipe.data.image_size)


def decoding_shape(recipe: Recipe) -> BatchShape:
    """Return the shape of a decoding batch filled with typical sentences and their hypotheses."""
    positions, beam = typical_length(recipe), recipe.decoding.beam_size
    tokens = recipe.decoding.batch_tokens
    tokens = tuning("cpu").decoding_tokens if tokens == "auto" else tokens
    return BatchShape(max(1, tokens // beam // positions), positions, beam, recipe.data.image_size)


def typical_length(recipe: Recipe) -> int:
    """Return S and T of a typical pair; an image counts as many positions as it has patches."""
    longest = min(max(TYPICAL_LENGTH, recipe.data.min_length + 1), recipe.data.max_length + 1)
    size = recipe.data.image_size
    return max(longest, size.tokens) if size else longest


def parts(network: Network) -> list[Part]:
    """Return the sizes of embeddings, encoder, decoder and output projection; a shared table is listed once."""
    tables: dict[Tensor, list[str]] = {}
    for name, table in _tables(network):
        tables.setdefault(table, []).append(name)
    found = [Part(_table_name(names), table.numel()) for table, names in tables.items()]
    counted = set(tables)
    for name, module in (*network.named_children(), ("output bias", network)):
        own = set(module.parameters()) - counted
        counted |= own
        found.append(Part(name, sum(parameter.numel() for parameter in own)))
    return [part for part in found if part.parameters]


def _tables(network: Network) -> Iterator[tuple[str, Tensor]]:
    """Yield each use of an embedding or projection table [V, H], and the table."""
    V = len(network.weight)
    encoder = getattr(network, "encoder", network.decoder)
    for name, side in (("source", encoder), ("target", network.decoder)):
        for module in side.modules():
            if isinstance(module, nn.Embedding) and module.num_embeddings == V:
                yield name, module.weight
    yield "output", network.weight


def _table_name(names: list[str]) -> str:
    """Return `embeddings: source, target, output (one table)`."""
    if names == ["output"]:
        return "output projection"
    return f"embeddings: {', '.join(names)}{' (one table)' if len(names) > 1 else ''}"


def training_memory(network: nn.Module, activations: int) -> TrainingMemory:
    """Return the memory needed in training, given the bytes of activations."""
    count = count_parameters(network)
    return TrainingMemory(
        weights=4 * count,
        gradients=4 * count,
        optimizer=8 * count + 4 * len(list(network.parameters())),
        activations=activations,
    )


def training_cost(
    network: nn.Module,
    shape: BatchShape,
    precision: Precision,
    objective: Objective = NLL,
    *,
    kind: DeviceKind = "cpu",
) -> Cost:
    """Return the cost of one forward and backward pass, without weights and gradients.

    `kind`: the device to plan for; a GPU's fused attention stores no scores, and the loss computes more rows at a time.
    """
    network.train()
    ids = torch.empty(shape.sentences, shape.positions, dtype=torch.long, device="meta")
    source = shape.source()
    real = torch.empty(ids.numel(), dtype=torch.long, device="meta")
    gradients = [torch.empty(parameter.shape, device="meta") for parameter in network.parameters()]
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        parameter.grad = gradient
    with DryRun([*network.parameters(), *network.buffers(), *gradients, ids, real, *_tensors(source)]) as run:
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
        fused = FusedAttention() if kind == "cuda" else nullcontext()
        with planning_for(kind), fused, DryAutocast() as casts, autocast:
            sums = network(Batch(source, inputs=ids, labels=ids, real=real), objective)
        (sums.loss / sums.tokens).backward()
    network.zero_grad()
    return Cost(run.flops, run.peak, copies=casts.copied)


@torch.no_grad()
def decoding_cost(network: Network, shape: BatchShape, precision: Precision, options: DecodingOptions) -> Cost:
    """Return the cost of a search whose outputs are as long as the sources, without weights.

    Only the first three steps are run: the first has one hypothesis, and the FLOPs of the others grow linearly with the
    cache that attention reads, or not at all.
    """
    network.eval()
    B, K, T = shape.sentences, shape.hypotheses, shape.positions
    source = shape.source()
    limit = options.max_caption_length if shape.image_size else options.max_length(T - 1)
    max_steps = max(T, limit)
    flops = []
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    run = DryRun([*network.parameters(), *network.buffers(), *_tensors(source)])
    with run, autocast, DryAutocast(), torch.device("meta"):
        state = network.start(source, max_steps=max_steps)
        for hypotheses in (1, K, K):
            step, state = network.step(torch.empty(B, hypotheses, dtype=torch.long), state)
            step.logits.exp()  # the search's logsumexp allocates as much again
            state = state.select(None, torch.empty(B, K, dtype=torch.long))
            flops.append(run.flops)
    first, second, third = flops[0], flops[1] - flops[0], flops[2] - flops[1]
    later = (T - 1) * second + (third - second) * (T - 1) * (T - 2) // 2
    state_bytes = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in _tensors(state)}
    return Cost(first + later, run.peak - sum(state_bytes.values()), sum(state_bytes.values()))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield every tensor inside a state."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
