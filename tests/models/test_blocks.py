"""The layers of a Transformer's block against torch's attention with copied weights, and naive loops."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2s.models.blocks import (
    NORMS,
    CrossAttention,
    FeedForward,
    Residual,
    SelfAttention,
    XavierLinear,
    explicit_attention,
)
from s2s.models.dropout import Dropout
from s2s.models.positions import RotaryPositions
from s2s.recipe.sides import TransformerEncoderOptions

B, T, S, D, E, H, d = 3, 4, 5, 6, 8, 2, 3
MASK = (torch.arange(S) < torch.tensor([5, 2, 4]).unsqueeze(1))[:, None, None]


def options(**given: Any) -> TransformerEncoderOptions:
    return TransformerEncoderOptions(family="transformer", heads=H, **given)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(module: Any, seed: int = 2) -> Any:
    draw = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5, generator=draw)
    return module.eval()


def torchs(attention: SelfAttention | CrossAttention, memory_width: int) -> nn.MultiheadAttention:
    """Torch's attention with this one's weights."""
    same = nn.MultiheadAttention(D, H, kdim=memory_width, vdim=memory_width, batch_first=True)
    if isinstance(attention, SelfAttention):
        same.in_proj_weight, same.in_proj_bias = attention.qkv_proj.weight, attention.qkv_proj.bias
    else:
        same.q_proj_weight = attention.q_proj.weight
        same.k_proj_weight, same.v_proj_weight = map(nn.Parameter, attention.kv_proj.weight.chunk(2))
        same.in_proj_bias = nn.Parameter(torch.cat((attention.q_proj.bias, attention.kv_proj.bias)))
    same.out_proj = attention.out_proj
    return same.eval()


def test_attention_to_a_memory_is_torchs_with_copied_weights() -> None:
    attention = filled(CrossAttention(D, E, options(norm="post"), 0.0))
    query, states = drawn(B, T, D), drawn(B, S, E, seed=3)
    expected, weights = torchs(attention, E)(query, states, states, key_padding_mask=~MASK[:, 0, 0])
    _, of_heads = torchs(attention, E)(
        query, states, states, key_padding_mask=~MASK[:, 0, 0], average_attn_weights=False
    )
    keys, values = attention.keys_values(states)
    for asked in (True, False):
        stream, found = attention(query, keys, values, MASK, need_attention=asked)
        torch.testing.assert_close(stream, attention.norm(query + expected))
        assert (found is not None) == asked
        if found is not None:
            torch.testing.assert_close(found, of_heads)
            torch.testing.assert_close(found.mean(1), weights)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_within_a_sentence_is_torchs_with_copied_weights(causal: bool) -> None:
    attention, stream = filled(SelfAttention(D, options(norm="pre"), 0.0)), drawn(B, T, D)
    normal = attention.norm(stream)
    later = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    expected, _ = torchs(attention, D)(normal, normal, normal, attn_mask=later)
    torch.testing.assert_close(attention(stream, None, causal=causal), stream + expected)


@pytest.mark.parametrize(("mask", "causal"), [(None, False), (MASK, False), (None, True), (MASK, True)])
def test_explicit_and_fused_attention_agree(mask: Tensor | None, causal: bool) -> None:
    asking = S if causal else T
    query, keys, values = drawn(B, H, asking, d), drawn(B, H, S, d, seed=2), drawn(B, H, S, d, seed=3)
    found, attention = explicit_attention(query, keys, values, mask, Dropout(0.0), causal=causal)
    visible = torch.ones(asking, S, dtype=torch.bool).tril() if causal else torch.ones(asking, S, dtype=torch.bool)
    visible = visible if mask is None else visible & mask
    torch.testing.assert_close(found, F.scaled_dot_product_attention(query, keys, values, visible))
    torch.testing.assert_close(attention.sum(-1), torch.ones(B, H, asking))
    if mask is not None:
        assert attention.masked_select(~mask).eq(0).all()
    if causal:
        assert attention.triu(1).eq(0).all()


def test_both_paths_let_no_gradient_through_padding() -> None:
    attention, query = filled(CrossAttention(D, E, options(), 0.0)), drawn(B, T, D)
    gradients = []
    for need_attention in (True, False):
        states = drawn(B, S, E).requires_grad_()
        attention(query, *attention.keys_values(states), MASK, need_attention=need_attention)[
            0
        ].square().sum().backward()
        assert states.grad is not None
        assert states.grad[~MASK[:, 0, 0]].eq(0).all()
        assert states.grad[MASK[:, 0, 0]].ne(0).all()
        gradients.append(states.grad)
    torch.testing.assert_close(*gradients)


def test_under_autocast_both_paths_are_near_float32() -> None:
    attention, query, states = filled(CrossAttention(D, E, options(), 0.0)), drawn(B, T, D), drawn(B, S, E)
    plain, _ = attention(query, *attention.keys_values(states), MASK)
    with torch.autocast("cpu", torch.bfloat16):
        halves = [
            attention(query, *attention.keys_values(states), MASK, need_attention=asked)[0] for asked in (True, False)
        ]
    assert halves[0].dtype == torch.float32  # the stream keeps its precision
    for half in halves:
        torch.testing.assert_close(half, plain, atol=0.05, rtol=0.05)


def test_attention_weights_are_dropped_while_training_alone() -> None:
    torch.manual_seed(4)
    attention = filled(CrossAttention(D, E, options(attention_dropout=0.5), 0.0))
    query, states = drawn(B, T, D), drawn(B, S, E)
    asked = (query, *attention.keys_values(states), MASK)
    still = attention(*asked)[0]
    torch.testing.assert_close(attention(*asked)[0], still)
    attention.train()
    runs = torch.stack([attention(*asked)[0] for _ in range(1500)])
    assert runs.std(0).min() > 0.01
    torch.testing.assert_close(runs.mean(0), still, atol=0.15, rtol=0)


def test_a_step_is_the_last_position_of_a_sentence() -> None:
    attention = filled(SelfAttention(D, options(), 0.0))
    K, steps = 2, 4
    streams = drawn(B, K, steps, D)
    cache = torch.full((B, K, steps, 2, H, d), torch.nan)
    for position in range(steps):
        found = attention.step(streams[:, :, position], None, cache, position)
        whole = attention(streams[:, :, : position + 1].flatten(0, 1), None, causal=True)
        torch.testing.assert_close(found, whole[:, -1].view(B, K, D))


def test_turned_attention_knows_distances_alone() -> None:
    attention, stream = filled(SelfAttention(8, options(), 0.0)), drawn(B, T, 8)
    rotary = RotaryPositions(4).rotary(3 + T, stream)
    turned = attention(stream, rotary[:, :T], causal=True)
    torch.testing.assert_close(attention(stream, rotary[:, 3:], causal=True), turned)
    assert (attention(stream, None, causal=True) - turned).abs().max() > 0.01


@pytest.mark.parametrize(
    ("need_attention", "attention_dropout", "autocast", "fused"),
    [(False, 0.0, False, True), (True, 0.0, False, False), (False, 0.5, False, False), (False, 0.0, True, False)],
)
def test_fused_attention_serves_where_it_can_and_is_quick(
    monkeypatch: pytest.MonkeyPatch, need_attention: bool, attention_dropout: float, autocast: bool, fused: bool
) -> None:
    attention = filled(CrossAttention(D, E, options(attention_dropout=attention_dropout), 0.0)).train()
    calls, original = [], F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or original(*a, **k))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        attention(drawn(B, T, D), *attention.keys_values(drawn(B, S, E)), MASK, need_attention=need_attention)
    assert bool(calls) == fused


def test_rms_norm_is_its_equation() -> None:
    norm, x = filled(NORMS["rms"](D)), drawn(B, D)
    for row, found in zip(x.tolist(), norm(x).tolist(), strict=True):
        size = math.sqrt(sum(value**2 for value in row) / D + 1e-6)
        expected = [value / size * gain for value, gain in zip(row, norm.weight.tolist(), strict=True)]
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["relu", "gelu", "swiglu"])
def test_feed_forward_is_its_equation(kind: str) -> None:
    layer = filled(FeedForward(D, options(activation=kind, ffn_size=7, norm="post"), 0.0))
    layer.norm = nn.Identity()
    x = drawn(D)
    inner = [sum(w * v for w, v in zip(row, x.tolist(), strict=True)) for row in layer.fc1.weight.tolist()]
    if kind == "swiglu":
        units = [gate / (1 + math.exp(-gate)) * linear for gate, linear in zip(inner[:7], inner[7:], strict=True)]
    else:
        inner = [value + bias for value, bias in zip(inner, layer.fc1.bias.tolist(), strict=True)]
        normal = {"relu": lambda u: float(u > 0), "gelu": lambda u: (1 + math.erf(u / math.sqrt(2))) / 2}[kind]
        units = [value * normal(value) for value in inner]
    outer = [sum(w * u for w, u in zip(row, units, strict=True)) for row in layer.fc2.weight.tolist()]
    biases = [0.0] * D if kind == "swiglu" else layer.fc2.bias.tolist()
    expected = [value + out + bias for value, out, bias in zip(x.tolist(), outer, biases, strict=True)]
    assert layer(x).tolist() == pytest.approx(expected, rel=1e-5)
    assert (layer.fc2.bias is None) == (kind == "swiglu")


def test_feed_forward_is_four_times_as_wide_where_nothing_is_said() -> None:
    assert FeedForward(D, options(), 0.0).fc1.weight.shape == (4 * D, D)
    assert FeedForward(D, options(activation="swiglu"), 0.0).fc1.weight.shape == (2 * 4 * D, D)


def test_units_are_dropped_while_training() -> None:
    torch.manual_seed(5)
    layer = filled(FeedForward(D, options(activation_dropout=0.5), 0.0)).train()
    assert (layer(drawn(B, D)) - layer(drawn(B, D))).abs().max() > 0.01


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_norm_stands_before_or_after(norm: str) -> None:
    layer, stream = filled(Residual(D, options(norm=norm), 0.0)), drawn(B, D)
    branch = 3 * layer.norm_input(stream)
    expected = stream + 3 * layer.norm(stream) if norm == "pre" else layer.norm(4 * stream)
    torch.testing.assert_close(layer.residual_out(stream, branch), expected)


def test_each_of_the_projections_in_a_matrix_is_drawn_by_its_own_width() -> None:
    torch.manual_seed(6)
    linear = XavierLinear(40, 60, 20, bias=True)
    for part, width in zip(linear.weight.split((60, 20)), (60, 20), strict=True):
        bound = math.sqrt(6 / (40 + width))
        assert 0.97 * bound < part.abs().max() <= bound
    assert linear.bias.eq(0).all()
    assert SelfAttention(D, options(attention_bias=False), 0.0).qkv_proj.bias is None
