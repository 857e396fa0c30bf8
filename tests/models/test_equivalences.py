"""What every network keeps to, over a cover of families and options in which each pair of choices occurs.

forward = repeated step, padded = unpadded, one sentence = many, `select` under re-ordering and widening, and nothing
passes through padding.
"""

import itertools
import random
from typing import Any

import pytest
import torch
from networks import pairs, source
from torch import Tensor, nn

from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import Decoder, Encoder, TokenInput
from s2s.models.network import Network
from s2s.recipe.model import ModelOptions

B, S, T, V, E, W, H = 3, 5, 7, 17, 12, 6, 9
LENGTHS = torch.tensor([5, 2, 4])
BLOCK = {
    "positions": ["sinusoidal", "learned", "rotary"],
    "norm": ["pre", "post"],
    "norm_kind": ["layer", "rms"],
    "activation": ["relu", "gelu", "swiglu"],
    "attention_bias": [True, False],
}
RECURRENT = {"cell": ["rnn", "gru", "lstm"]}
LAYERS = {"layers": [1, 2]}
WIRINGS = ["fixed", "initial", "previous", "current"]  # contexts, attention's by its query
CHOICES: dict[str, dict[str, list[Any]]] = {
    "rnn encoder": {**RECURRENT, **LAYERS, "reading": ["both", "forward", "backward"]},
    "transformer encoder": {**LAYERS, **BLOCK, "convolution": [0, 3]},
    "rnn decoder": {**RECURRENT, **LAYERS, "wiring": WIRINGS, "score": ["additive", "dot", "general", "scaled_dot"]},
    "transformer decoder": {**LAYERS, **BLOCK, "attention_layer": [1, -1]},
    "decoder only": {**LAYERS, **BLOCK, "attention_layer": [1, -1], "source_attention": ["full", "causal"]},
}


def pairwise(choices: dict[str, list[Any]], seed: int) -> list[dict[str, Any]]:
    """Cases in which every two choices of different keys meet: the best of some random cases, until none is missing."""
    draw = random.Random(seed)
    keys = list(choices)
    missing = {
        (a, x, b, y) for a, b in itertools.combinations(keys, 2) for x in choices[a] for y in choices[b]
    }  # fmt: skip
    cases = []
    while missing:
        candidates = [{key: draw.choice(values) for key, values in choices.items()} for _ in range(40)]
        best = max(candidates, key=lambda case: len(missing & met(case)))
        missing -= met(best)
        cases.append(best)
    return [case for case in cases if case]


def met(case: dict[str, Any]) -> set[tuple[Any, ...]]:
    """The pairs of choices in a case."""
    return {(a, x, b, y) for (a, x), (b, y) in itertools.combinations(case.items(), 2)}


def sided(side: str) -> list[tuple[str, dict[str, Any]]]:
    """The cases of both families on one side."""
    families = [(family, CHOICES[f"{family} {side}"]) for family in ("rnn", "transformer")]
    return [(family, case) for seed, (family, choices) in enumerate(families) for case in pairwise(choices, seed)]


def covered() -> list[ModelOptions]:
    """Each case of an encoder with one of a decoder, both lists gone through as often as the longer one needs."""
    encoders, decoders = sided("encoder"), sided("decoder")
    random.Random(5).shuffle(decoders)
    count = max(len(encoders), len(decoders))
    pairs = itertools.islice(zip(itertools.cycle(encoders), itertools.cycle(decoders), strict=False), count)
    both = [
        options(*encoder, *decoder, tied)
        for (encoder, decoder), tied in zip(pairs, itertools.cycle(["all", "none", "target"]), strict=False)
    ]
    alone = zip(pairwise(CHOICES["decoder only"], 2), itertools.cycle(["all", "none"]), strict=False)
    return both + [decoder_only(case, tied) for case, tied in alone]


def options(read: str, encoder: dict[str, Any], write: str, decoder: dict[str, Any], tied: str) -> ModelOptions:
    """The network of two cases; widths differ unless they must be the same."""
    encoder, decoder = {"family": read, **encoder}, {"family": write, **decoder}
    if read == "rnn":
        reading = encoder.pop("reading")
        encoder |= {"hidden_size": W, "bidirectional": reading == "both", "reverse_source": reading == "backward"}
    if write == "rnn":
        wiring = decoder.pop("wiring")
        attends = wiring in {"previous", "current"}
        decoder |= {"context": "attention", "query": wiring} if attends else {"context": wiring}
        memory = E if read == "transformer" else W * (1 + encoder["bidirectional"])
        decoder |= {"hidden_size": memory if decoder["score"] == "dot" else H, "attention_size": 10}
    for blocks in (encoder, decoder):
        if blocks["family"] == "transformer":
            blocks |= {"heads": 3, "ffn_size": 14, "max_positions": 5}
    return ModelOptions(
        embedding_size=E, tied_embeddings=tied, output_bias=tied != "none", encoder=encoder, decoder=decoder
    )


def decoder_only(case: dict[str, Any], tied: str) -> ModelOptions:
    source_attention = case.pop("source_attention")
    return ModelOptions(
        architecture="decoder_only",
        source_attention=source_attention,
        embedding_size=E,
        tied_embeddings=tied,
        output_bias=tied != "none",
        decoder={"family": "transformer", "heads": 3, "ffn_size": 14, "max_positions": 8, **case},
    )


def name(chosen: ModelOptions) -> str:
    """A case in its test's name."""
    values = [
        chosen.source_attention,
        *(value for side in chosen.sides.values() for value in side.model_dump().values()),
    ]
    return " ".join(str(value) for value in values if isinstance(value, str | bool))


cases = pytest.mark.parametrize("chosen", covered(), ids=name)


def network(chosen: ModelOptions) -> Network:
    torch.manual_seed(1)
    model = build_model(chosen, V).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def targets() -> Tensor:
    return torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(3))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@cases
def test_forward_is_repeated_step(chosen: ModelOptions) -> None:
    model = network(chosen)
    memory = model.encode(source(V))
    with torch.no_grad():
        whole = model.decoder(memory, targets(), need_attention=True)
        without = model.decoder(memory, targets())
        state = model.decoder.start(memory, max_steps=T)
        assert without.attention is None
        assert (whole.attention is not None) == chosen.has_attention
        close(without.hidden, whole.hidden)
        for t in range(T):
            decoded, state = model.decoder.step(targets()[:, t : t + 1], state, need_attention=t % 2 == 0)
            close(decoded.hidden[:, 0], whole.hidden[:, t])
            assert (decoded.attention is not None) == (chosen.has_attention and t % 2 == 0)
            if decoded.attention is not None and whole.attention is not None:
                close(decoded.attention[:, 0], whole.attention[:, t])


@cases
def test_padding_and_neighbours_change_nothing(chosen: ModelOptions) -> None:
    model, given = network(chosen), source(V)
    with torch.no_grad():
        together = model.decoder(model.encode(given), targets(), need_attention=True)
        for row, length in enumerate(LENGTHS):
            alone = model.encode(TokenInput(given.ids[row : row + 1, :length], LENGTHS[row : row + 1]))
            single = model.decoder(alone, targets()[row : row + 1], need_attention=True)
            close(single.hidden[0], together.hidden[row])
            assert (single.attention is not None) == (together.attention is not None) == chosen.has_attention
            if single.attention is not None and together.attention is not None:
                close(single.attention[0], together.attention[row, :, :length])
                assert together.attention[row, :, length:].eq(0).all()
                close(together.attention[row].sum(-1), torch.ones(T))


@cases
def test_select_reorders_widens_and_narrows(chosen: ModelOptions) -> None:
    """Every hypothesis has the logits that its tokens have alone, however it was moved."""
    model, draw = network(chosen), random.Random(6)
    state = model.start(source(V), max_steps=T)
    rows, written = list(range(B)), [[[]] for _ in range(B)]  # which sentence a row is, its hypotheses' tokens
    with torch.no_grad():
        for step in range(5):
            tokens = [[draw.randrange(4, V) for _ in hypotheses] for hypotheses in written]
            written = [
                [[*tokens, token] for tokens, token in zip(hypotheses, row, strict=True)]
                for hypotheses, row in zip(written, tokens, strict=True)
            ]
            found, state = model.step(torch.tensor(tokens), state)
            check_alone(model, rows, written, found.logits)
            kept = sorted(draw.sample(range(len(rows)), max(1, len(rows) - (step == 2))), key=lambda _: draw.random())
            beams = [[draw.randrange(len(written[0])) for _ in range([4, 4, 2, 3, 1][step])] for _ in kept]
            state = state.select(torch.tensor(kept), torch.tensor(beams))
            written = [[written[row][beam] for beam in picked] for row, picked in zip(kept, beams, strict=True)]
            rows = [rows[row] for row in kept]


def check_alone(model: Network, rows: list[int], written: list[list[list[int]]], logits: Tensor) -> None:
    for row, hypotheses, of_row in zip(rows, written, logits, strict=True):
        length = int(LENGTHS[row])
        memory = model.encode(TokenInput(source(V).ids[row : row + 1, :length], LENGTHS[row : row + 1]))
        for tokens, found in zip(hypotheses, of_row, strict=True):
            hidden = model.decoder(memory, torch.tensor([tokens])).hidden[0, -1]
            close(found, nn.functional.linear(hidden, model.weight, model.bias))


@cases
def test_padding_has_no_gradient(chosen: ModelOptions) -> None:
    model, given = network(chosen), source(V)
    extra = torch.zeros(1, E)
    side = model.encoder if isinstance(model, EncoderDecoder) else model.decoder
    table = nn.Parameter(torch.cat((table_of(side).weight.detach(), extra)))  # id V stands at padding alone
    side.embedding = nn.Embedding.from_pretrained(table, freeze=False)
    ids = given.ids.masked_fill(given.ids == 0, V)
    model(pairs(TokenInput(ids, LENGTHS), targets(), targets())).loss.backward()
    grad = table_of(side).weight.grad
    assert grad is not None
    assert grad[V].eq(0).all()
    assert grad[:V].ne(0).any()


def table_of(side: Encoder | Decoder) -> nn.Embedding:
    table = side.embedding
    assert isinstance(table, nn.Embedding)
    return table


@cases
def test_every_weight_learns_in_either_precision(chosen: ModelOptions) -> None:
    model = network(chosen.model_copy(update={"dropout": 0.3})).train()
    torch.manual_seed(7)
    batch = pairs(source(V), targets(), targets())
    plain = model(batch)
    plain.loss.backward()
    unused = [key for key, value in model.named_parameters() if value.grad is None]
    assert unused == []
    with torch.autocast("cpu", torch.bfloat16):
        half = model(batch)
    half.loss.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
    assert abs((half.loss / plain.loss).item() - 1) < 0.5


def test_the_cover_has_every_pair() -> None:
    for choices in CHOICES.values():
        found = set().union(*(met(case) for case in pairwise(choices, 0)))
        for a, b in itertools.combinations(choices, 2):
            assert {(a, x, b, y) for x in choices[a] for y in choices[b]} <= found
