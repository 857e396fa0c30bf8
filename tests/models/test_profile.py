"""Parameters, memory and FLOPs of a network that is never allocated."""

from dataclasses import replace

import pytest
import torch
from networks import pairs
from torch import Tensor

from s2s.devices.runtime import TUNING, Precision, tuning
from s2s.models import profile
from s2s.models.build import build_model
from s2s.models.dry_run import DryRun
from s2s.models.interface import TokenInput
from s2s.models.profile import BatchShape
from s2s.recipe.recipe import Recipe
from s2s.training.optimizer import build_optimizer

V, E, W, H, A = 19, 6, 4, 9, 10  # vocabulary; embedding; units of a direction, of the decoder, of the score
D = 2 * W
F, N = 11, 3  # a Transformer's feed-forward units and heads
B, T, K = 4, 5, 2  # sentences, positions on both sides, hypotheses


def recipe(encoder: dict | None, decoder: dict, tied: str = "all", **model: object) -> Recipe:
    sides = {"encoder": encoder} if encoder else {"architecture": "decoder_only"}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "data": {"kind": "generator", "filters": [{"name": "length", "max": T - 1}]},
            "tokenizer": {"vocab_size": V},
            "model": {"embedding_size": E, "tied_embeddings": tied, **sides, "decoder": decoder, **model},
            "training": {"batch_tokens": B * T + 1},
            "decoding": {"beam_size": K, "batch_tokens": B * T * K + 1},
        }
    )


def rnn(context: str = "attention", tied: str = "all", **decoder: object) -> Recipe:
    options = {"hidden_size": H, "context": context, "attention_size": A} | decoder
    return recipe({"hidden_size": W}, options, tied)


def transformer(**options: object) -> Recipe:
    blocks = {"family": "transformer", "heads": N, "ffn_size": F} | options
    return recipe({"layers": 3, **blocks}, {"layers": 2, **blocks})


EVERY = {
    "fixed": rnn("fixed"),
    "summary at start": rnn("initial", layers=2),
    "attention": rnn(),
    "attention of an LSTM": recipe(
        {"hidden_size": W, "cell": "lstm", "layers": 2}, {"hidden_size": H, "cell": "lstm"}, dropout=0.3
    ),
    "Luong": rnn(query="current", score="general"),
    "Transformer": transformer(),
    "rotary Transformer": transformer(positions="rotary", norm="post", norm_kind="rms", activation="swiglu"),
    "RNN on Transformer": recipe({"family": "transformer", "heads": N, "layers": 1}, {"hidden_size": H}),
    "Transformer on RNN": recipe({"hidden_size": W}, {"family": "transformer", "heads": N, "layers": 2}),
    "decoder only": recipe(None, {"family": "transformer", "heads": N, "ffn_size": F, "layers": 3}),
    "causal decoder": recipe(
        None, {"family": "transformer", "heads": N, "layers": 2}, source_attention="causal", dropout=0.3
    ),
}
FAMILIES = pytest.mark.parametrize("tiny", EVERY.values(), ids=EVERY)


def test_parts_of_a_recurrent_network() -> None:
    encoder = 2 * (3 * W * E + 3 * W * W + 2 * 3 * W)  # input, state, two biases, in each direction
    cell = 3 * H * E + 3 * H * D + 3 * H * H + 2 * 3 * H  # input, context, state, two biases
    rest = D * H + H + (H * E + E) + D * E + E * E  # initial state; read-out from state, context, input
    score = A * H + A + A * D + A  # W, b, U, v
    bodies = [("encoder", encoder), ("decoder", cell + rest + score)]
    found = {
        tied: [(part.name, part.parameters) for part in profile.parts(profile.meta_model(rnn(tied=tied)))]
        for tied in ("all", "target", "none")
    }
    assert found["all"] == [("embeddings: source, target, output (one table)", V * E), *bodies, ("output bias", V)]
    assert found["target"] == [
        ("embeddings: source", V * E),
        ("embeddings: target, output (one table)", V * E),
        *bodies,
        ("output bias", V),
    ]
    tables = [(name, V * E) for name in ("embeddings: source", "embeddings: target", "output projection")]
    assert found["none"] == [*tables, *bodies, ("output bias", V)]


@pytest.mark.parametrize("tied", ["all", "target", "none"])
@FAMILIES
def test_parts_add_up_to_the_real_network(tiny: Recipe, tied: str) -> None:
    tiny = tiny.model_copy(update={"model": tiny.model.model_copy(update={"tied_embeddings": tied})})
    parts = profile.parts(profile.meta_model(tiny))
    assert sum(part.parameters for part in parts) == profile.count_parameters(build_model(tiny.model, V))


def test_nothing_is_allocated() -> None:
    network = profile.meta_model(recipe({"hidden_size": 16384, "layers": 20}, {"hidden_size": 16384, "layers": 20}))
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    assert profile.count_parameters(network) > 10**10


def test_batches_are_those_of_the_recipe() -> None:
    plan = profile.plan(rnn())
    assert plan.training == BatchShape(B, T)
    assert plan.decoding == BatchShape(B, T, K)


def encoder_gru() -> int:
    """FLOPs for a sentence: two directions, three gates, from input and state."""
    return T * 2 * 2 * (E * 3 * W + W * 3 * W)


def first_state() -> int:
    return 2 * D * H


def attention(positions: int) -> int:
    """FLOPs of a query: W s, v · tanh, Σ a h."""
    return 2 * (H * A + positions * A + positions * D)


def token(context: int) -> int:
    """FLOPs of a target token in a GRU, its read-out and the projection; `context`: how wide a context of its own."""
    cell = 2 * 3 * H * (E + H + context)
    return cell + 2 * E * (E + H + context) + 2 * E * V


LOSS = 2 * E  # of a target token, forwards alone: hidden · mean of the projection's rows


def test_training_flops_of_the_bottleneck() -> None:
    context = 2 * D * (3 * H + E)  # once for a sentence
    forward = encoder_gru() + first_state() + context + T * token(context=0)
    assert profile.plan(rnn("fixed")).training_flops * T == 3 * forward + T * LOSS


def test_training_flops_of_attention() -> None:
    keys = T * 2 * D * A
    forward = encoder_gru() + first_state() + keys + T * (token(context=D) + attention(T))
    assert profile.plan(rnn()).training_flops * T == 3 * forward + T * LOSS


def test_decoding_flops_of_attention() -> None:
    once = encoder_gru() + first_state() + T * 2 * D * A
    hypotheses = 1 + (T - 1) * K  # the first step has one
    assert profile.plan(rnn()).decoding_flops * T == once + hypotheses * (token(context=D) + attention(T))


def test_decoding_flops_of_the_bottleneck() -> None:
    context = T * 2 * D * (3 * H + E)  # at every step, once for all hypotheses
    hypotheses = 1 + (T - 1) * K
    expected = encoder_gru() + first_state() + context + hypotheses * token(context=0)
    assert profile.plan(rnn("fixed")).decoding_flops * T == expected


def test_training_flops_of_a_transformer() -> None:
    scores = 2 * 2 * T * T * E  # Q Kᵀ and its product with V
    encoder = T * 2 * (4 * E * E + 2 * E * F) + scores
    decoder = T * 2 * (8 * E * E + 2 * E * F) + 2 * scores
    forward = 3 * encoder + 2 * decoder + T * 2 * E * V
    assert profile.plan(transformer()).training_flops * T == 3 * forward + T * LOSS


def test_training_flops_of_a_decoder_alone() -> None:
    block = T * 2 * (4 * E * E + 2 * E * F)
    source = block + 2 * 2 * T * T * E
    target = block + 2 * 2 * T * 2 * T * E
    last = T * 2 * 3 * E * E  # of the source, only keys and values are needed, which are computed with the queries
    forward = 2 * source + last + 3 * target + T * 2 * E * V
    assert profile.plan(EVERY["decoder only"]).training_flops * T == 3 * forward + T * LOSS


def test_decoding_flops_of_a_decoder_alone() -> None:
    source = 2 * (T * 2 * (4 * E * E + 2 * E * F) + 2 * 2 * T * T * E) + T * 2 * 3 * E * E
    steps = [(t, 1 if t == 0 else K) for t in range(T)]
    matrices = sum(count * 2 * (4 * E * E + 2 * E * F) for _, count in steps)
    scores = sum(count * 2 * 2 * (t + 1 + T) * E for t, count in steps)  # of what is written, and of the source
    projection = sum(count * 2 * E * V for _, count in steps)
    expected = source + 3 * (matrices + scores) + projection
    assert profile.plan(EVERY["decoder only"]).decoding_flops * T == expected


def test_decoding_flops_of_a_transformer() -> None:
    encoder = T * 2 * (4 * E * E + 2 * E * F) + 2 * 2 * T * T * E
    keys_values = T * 2 * 2 * E * E
    steps = [(t, 1 if t == 0 else K) for t in range(T)]
    matrices = sum(count * 2 * (6 * E * E + 2 * E * F) for _, count in steps)
    scores = sum(count * 2 * 2 * (t + 1 + T) * E for t, count in steps)  # of what is written, and of the memory
    projection = sum(count * 2 * E * V for _, count in steps)
    expected = 3 * encoder + 2 * (keys_values + matrices + scores) + projection
    assert profile.plan(transformer()).decoding_flops * T == expected


class Watched(DryRun):
    """Counts the same of operations that are carried out."""

    def _product(self, left: Tensor, right: Tensor, out: Tensor | None) -> Tensor:
        raise AssertionError("carried out instead")

    def _result(self, func, args, kwargs):
        return func(*args, **kwargs)


def real_peak(tiny: Recipe, precision: Precision) -> tuple[int, int]:
    """Bytes at the peak of a training step that is carried out, and of the optimizer's state after it."""
    network = build_model(tiny.model, V)
    optimizer = build_optimizer(network, tiny.training)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ids = torch.randint(4, V, (B, T))
    batch = pairs(TokenInput(ids, torch.full((B,), T)), ids, ids)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    with Watched([*network.parameters(), *gradients, ids, batch.source.lengths]) as watched:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            sums = network(batch)
        (sums.loss / sums.tokens).backward()
    optimizer.step()
    state = optimizer.state.values()
    return watched.peak, sum(value.nbytes for values in state for value in values.values())


@pytest.mark.parametrize("precision", profile.PRECISIONS)
@FAMILIES
def test_memory_of_training_is_that_of_a_real_step(tiny: Recipe, precision: Precision) -> None:
    network = profile.meta_model(tiny)
    memory = profile.training_memory(network, profile.training_cost(network, BatchShape(B, T), precision).work)
    peak, optimizer = real_peak(tiny, precision)
    assert memory.weights == memory.gradients == 4 * profile.count_parameters(build_model(tiny.model, V))
    assert memory.optimizer == optimizer
    fused = "transformer" in tiny.model.describe().lower()  # fused attention keeps no weights, shapes alone know none
    assert memory.activations == pytest.approx(peak, rel=0.4 if fused else 0.02)
    assert memory.on_cpu(precision) > memory.weights + memory.gradients + memory.optimizer + memory.activations


@FAMILIES
def test_memory_of_decoding_is_that_of_a_real_state(tiny: Recipe) -> None:
    plan = profile.plan(tiny)
    network = build_model(tiny.model, V).eval()
    ids = torch.randint(4, V, (B, T))
    with torch.no_grad():
        state = network.start(
            TokenInput(ids, torch.full((B,), T)), max_steps=int(tiny.decoding.max_ratio * (T - 1)) + 10
        )
        _, state = network.step(torch.zeros(B, 1, dtype=torch.long), state)
        state = state.select(None, torch.zeros(B, K, dtype=torch.long))
    memory = plan.decoding_memory
    real = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in profile._tensors(state)}
    assert memory["fp32"].state == pytest.approx(sum(real.values()), rel=0.1)
    assert memory["fp32"].weights == 2 * memory["bf16"].weights == 4 * plan.parameters
    assert memory["fp32"].work > 0
    assert memory["bf16"].state <= memory["fp32"].state


@FAMILIES
def test_decoding_step_by_step_costs_what_three_steps_say(tiny: Recipe) -> None:
    network = profile.meta_model(tiny)
    ids, lengths = torch.empty(B, T, dtype=torch.long, device="meta"), torch.empty(B, dtype=torch.long, device="meta")
    with torch.no_grad(), torch.device("meta"), DryRun() as run:
        state = network.start(TokenInput(ids, lengths), max_steps=T)
        for step in range(T):
            _, state = network.step(torch.empty(B, K if step else 1, dtype=torch.long), state)
            state = state.select(None, torch.empty(B, K, dtype=torch.long))
    assert profile.plan(tiny).decoding_flops * B * T == run.flops


def test_a_gpu_computes_the_loss_of_more_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary, rows = 900, 4  # so that the loss needs most of the memory
    monkeypatch.setitem(TUNING, "cpu", replace(TUNING["cpu"], loss_rows=rows))
    network = profile.meta_model(rnn(), vocabulary)
    cpu, gpu = (profile.training_cost(network, BatchShape(B, T), "fp32", kind=kind).work for kind in ("cpu", "cuda"))
    of_a_row = 2 * 4 * vocabulary  # logits and probabilities
    assert gpu - cpu == pytest.approx(of_a_row * (B * T - rows), rel=0.1)
    assert tuning("meta") is TUNING["cpu"]
