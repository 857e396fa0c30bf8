"""Decoder-only Transformers: counts of published ones, a naive loop over the whole sequence, the shared prefix."""

from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
import torch
from networks import constraints, pairs, source
from torch import Tensor, nn
from torch.nn import functional as F

from s2s.decoding.beam import BeamSearch
from s2s.devices.runtime import tuning
from s2s.models import transformer as module
from s2s.models.build import build_model
from s2s.models.decoder_only import PrefixDecoder
from s2s.models.interface import TokenInput
from s2s.models.network import Network
from s2s.models.profile import meta_model, parts
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.model import ModelOptions
from s2s.recipe.recipe import Recipe

B, S, T, V, E, N, L = 3, 5, 7, 17, 12, 3, 2
LENGTHS = torch.tensor([5, 2, 4])
kinds = pytest.mark.parametrize("source_attention", ["full", "causal"])


def options(source_attention: str = "full", dropout: float = 0.0, **blocks: Any) -> ModelOptions:
    decoder = {"family": "transformer", "layers": L, "heads": N, "ffn_size": 10, **blocks}
    return ModelOptions(
        architecture="decoder_only",
        source_attention=source_attention,
        embedding_size=E,
        dropout=dropout,
        decoder=decoder,
    )


def network(*given: Any, **blocks: Any) -> Network:
    torch.manual_seed(1)
    model = build_model(options(*given, **blocks), V).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def targets() -> Tensor:
    return torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(3))


def check_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "width", "heads", "vocabulary", "expected"),
    [  # GPT-2 (Radford et al. 2019) and Megatron-LM (Shoeybi et al. 2019), whose vocabulary is padded
        (12, 768, 12, 50_257, 124_439_808),
        (48, 1600, 25, 50_257, 1_557_611_200),
        (72, 3072, 32, 51_200, 8_317_040_640),
    ],
)
def test_published_networks_have_their_number_of_parameters(
    layers: int, width: int, heads: int, vocabulary: int, expected: int
) -> None:
    blocks = {"family": "transformer", "layers": layers, "heads": heads, "positions": "learned", "activation": "gelu"}
    model = {"architecture": "decoder_only", "embedding_size": width, "output_bias": False, "decoder": blocks}
    recipe = Recipe.model_validate({"name": "large", "data": {"kind": "generator"}, "model": model})
    found = {part.name: part.parameters for part in parts(meta_model(recipe, vocabulary))}
    table = vocabulary * width
    assert found == {"embeddings: source, target, output (one table)": table, "decoder": expected - table}


def naive(model: Network, source: list[int], target: list[int], *, causal: bool) -> tuple[Tensor, Tensor]:
    """Run one sentence, position by position: hidden [T, H] and attention to the source [L, T, S] of each layer."""
    decoder = model.decoder
    assert isinstance(decoder, PrefixDecoder)
    sequence, count = [*source, *target], len(source)
    x = torch.stack([sqrt(E) * decoder.embedding.weight[token] for token in sequence])
    for position in range(len(sequence)):
        for i in range(0, E, 2):
            angle = torch.tensor(position / 10000 ** (i / E))
            x[position, i] += angle.sin()
            x[position, i + 1] += angle.cos()
    shown = []
    for block in decoder.blocks:
        layer, d = block.attention, E // N
        rows, weights = [], torch.zeros(len(target), count)
        query, key, value = layer.qkv_proj(layer.norm(x)).chunk(3, dim=1)
        for q in range(len(sequence)):
            seen = count if q < count and not causal else q + 1
            heads = []
            for head in range(N):
                part = slice(head * d, (head + 1) * d)
                attention = torch.stack([query[q, part] @ key[k, part] / sqrt(d) for k in range(seen)]).softmax(0)
                heads.append(attention @ value[:seen, part])
                if q >= count:
                    weights[q - count] += attention[:count] / N
            rows.append(layer.out_proj(torch.cat(heads)))
        x = x + torch.stack(rows)
        feed = block.feed_forward
        x = x + feed.fc2(F.relu(feed.fc1(feed.norm(x))))
        shown.append(weights / weights.sum(1, keepdim=True))
    return decoder.norm(x)[count:], torch.stack(shown)


@kinds
def test_a_loop_over_the_whole_sequence_agrees(source_attention: str) -> None:
    with torch.no_grad():
        for shown in (1, 2):
            model = network(source_attention, attention_layer=shown)
            found = model.decoder(model.encode(source(V)), targets(), need_attention=True)
            for row, length in enumerate(LENGTHS):
                tokens, written = source(V).ids[row, :length].tolist(), targets()[row].tolist()
                hidden, attention = naive(model, tokens, written, causal=source_attention == "causal")
                check_close(found.hidden[row], hidden)
                assert found.attention is not None
                check_close(found.attention[row, :, :length], attention[shown - 1])


def test_what_a_source_position_sees() -> None:
    """The first keys of the second layer change with the last token only under full source attention."""
    changed = source(V).ids.clone()
    changed[0, -1] = (changed[0, -1] - 3) % (V - 4) + 4
    for source_attention in ("full", "causal"):
        model = network(source_attention)
        first, second = (model.encode(TokenInput(ids, LENGTHS)).keys_values[1][0] for ids in (source(V).ids, changed))
        assert torch.equal(first[0, :, 0], second[0, :, 0]) == (source_attention == "causal")
        assert torch.equal(first[1:], second[1:])


@pytest.mark.parametrize("additive", [False, True], ids=["bools", "numbers"])
@kinds
def test_gradients_and_search_with_either_mask(
    source_attention: str, additive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for masks in (False, additive):
        monkeypatch.setattr(module, "tuning", lambda kind, masks=masks: replace(tuning(kind), additive_masks=masks))
        model = network(source_attention)
        model(pairs(source(V), targets(), targets())).loss.backward()
        search = BeamSearch(DecodingOptions(beam_size=3), constraints([2, 7, 4]))
        with torch.no_grad():
            best = [hypotheses[0].tokens for hypotheses in search.run(model, source(V))]
        results.append((best, [parameter.grad for parameter in model.parameters()]))
    (expected, gradients), (found, others) = results
    assert found == expected
    check_close(others, gradients)


def test_hypotheses_share_their_sentences_prefix() -> None:
    model = network()
    state = model.start(source(V), max_steps=T)
    _, state = model.step(targets()[:, :1], state)
    wide = state.select(None, torch.zeros(B, 4, dtype=torch.long))
    assert wide.memory is state.memory
    assert [part.shape for part in wide.cache] == [(B, 4, N, T, E // N)] * (2 * L)
    fewer = wide.select(torch.tensor([2, 0]), torch.tensor([[3, 1], [0, 3]]))
    check_close(fewer.memory[1][0], state.memory[1][0][[2, 0]])
    assert fewer.lengths.tolist() == [4, 5]
    for part in fewer.cache:
        part[:, :, :, 1:] = torch.nan  # what is not written yet is not read
    step, following = model.step(torch.tensor([[4, 5], [6, 7]]), fewer)
    assert step.logits.isfinite().all()
    for _ in range(T - 2):
        step, following = model.step(torch.tensor([[4, 5], [6, 7]]), following)
    with pytest.raises(IndexError):
        model.step(torch.tensor([[4, 5], [6, 7]]), following)


def test_half_precision_and_dropout() -> None:
    model = network()
    with torch.no_grad():
        plain = model.decoder(model.encode(source(V)), targets()).hidden
        with torch.autocast("cpu", torch.bfloat16):
            memory = model.encode(source(V))
            half = model.decoder(memory, targets()).hidden
            state = model.decoder.start(memory, max_steps=T)
            stepped, _ = model.decoder.step(targets()[:, :1], state)
        assert half.dtype == stepped.hidden.dtype == state.cache[0].dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), plain, rtol=0.1, atol=0.2)
        torch.testing.assert_close(stepped.hidden[:, 0], half[:, 0], rtol=0.1, atol=0.1)
        whole = network().bfloat16()
        assert whole.step(targets()[:, :1], whole.start(source(V), max_steps=T))[0].logits.isfinite().all()
        dropping = network("full", 0.5).train()
        first, second = (dropping.encode(source(V)).keys_values[0][0] for _ in range(2))
        assert (first - second).abs().max() > 0.1
