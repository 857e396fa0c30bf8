"""Compare beam search with greedy loops, exhaustive enumeration and forced decoding, on small random networks."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from networks import FAMILIES, LENGTHS, S, constraints, network, pairs, source

from s2s.decoding import beam
from s2s.decoding.beam import BeamSearch, blockwise_topk
from s2s.decoding.constraints import SUPPRESSED
from s2s.decoding.engine import Hypothesis
from s2s.devices.runtime import tuning
from s2s.models.interface import BOS, EOS, Batch, LossSums, Model, StepOutput, TokenInput
from s2s.models.network import Network
from s2s.recipe.decoding import DecodingOptions

families = pytest.mark.parametrize("family", list(FAMILIES))


def search(
    model: Model,
    batch: TokenInput,
    beam: int,
    max_length: int | list[int],
    *,
    alpha: float = 1.0,
    stopping: str = "first",
    patience: float = 1.0,
    nbest: int | None = None,
    need_attention: bool = False,
    **constraint: object,
) -> list[list[Hypothesis]]:
    options = DecodingOptions(beam_size=beam, length_penalty=alpha, stopping=stopping, patience=patience)  # type: ignore[arg-type]
    limits = [max_length] * len(batch.ids) if isinstance(max_length, int) else max_length
    with torch.inference_mode():
        found = BeamSearch(options, constraints(limits, **constraint), nbest=nbest or beam)
        return found.run(model, batch, need_attention=need_attention)


def log_probability(model: Network, batch: TokenInput, row: int, tokens: list[int]) -> float:
    """Return the log-probability of a target under teacher forcing, with the same tokens suppressed as in a search."""
    state, total, last = (
        model.start(TokenInput(batch.ids[row : row + 1], batch.lengths[row : row + 1]), max_steps=9),
        0.0,
        BOS,
    )
    for token in tokens:
        step, state = model.step(torch.tensor([[last]]), state)
        logits = step.logits[0, 0].clone()
        logits[SUPPRESSED] = -torch.inf
        total += logits.log_softmax(0)[token].item()
        last = token
    return total


@families
def test_beam_size_1_is_greedy(family: str) -> None:
    model, batch = network(family, 13), source(13)
    for row, (best,) in enumerate(search(model, batch, beam=1, max_length=8)):
        state, last, tokens = (
            model.start(TokenInput(batch.ids[row : row + 1], batch.lengths[row : row + 1]), max_steps=9),
            BOS,
            [],
        )
        while last != EOS and len(tokens) < 8:
            step, state = model.step(torch.tensor([[last]]), state)
            step.logits[..., SUPPRESSED] = -torch.inf
            last = int(step.logits.argmax())
            tokens.append(last)
        assert best.tokens == [token for token in tokens if token != EOS]
        assert best.truncated == (last != EOS)


@families
def test_wide_beam_is_exhaustive(family: str) -> None:
    vocabulary, limit = 7, 3  # tokens 4, 5, 6 and EOS
    model, batch = network(family, vocabulary), source(vocabulary)
    everything = [[*head, EOS] for length in range(limit) for head in itertools.product([4, 5, 6], repeat=length)] + [
        list(body) for body in itertools.product([4, 5, 6], repeat=limit)
    ]
    for alpha in (0.0, 1.0):
        for row, found in enumerate(search(model, batch, len(everything), limit, alpha=alpha, stopping="exact")):
            scored = {tuple(p): log_probability(model, batch, row, p) / len(p) ** alpha for p in everything}
            ranked = sorted(scored, key=lambda p: scored[p], reverse=True)
            assert [(*h.tokens, *([] if h.truncated else [EOS])) for h in found] == ranked
            for hypothesis, tokens in zip(found, ranked, strict=True):
                assert math.isclose(hypothesis.score, scored[tokens], rel_tol=1e-4, abs_tol=1e-5)


@families
def test_score_equals_forced_score_in_any_batch(family: str) -> None:
    model, batch = network(family, 13), source(13)
    together = search(model, batch, beam=3, max_length=6)
    for row, length in enumerate(LENGTHS.tolist()):
        best = together[row][0]
        tokens = [*best.tokens, *([] if best.truncated else [EOS])]
        assert math.isclose(best.log_probability, log_probability(model, batch, row, tokens), rel_tol=1e-4)
        assert math.isclose(best.score, best.log_probability / len(tokens), rel_tol=1e-6)
        alone = search(model, TokenInput(batch.ids[row : row + 1, :length], batch.lengths[row : row + 1]), 3, 6)
        assert [h.tokens for h in alone[0]] == [h.tokens for h in together[row]]


class Confident:
    """A model that almost certainly repeats one token 9 times and ends; after any other token it ends at once."""

    @dataclass(frozen=True)
    class State:
        lost: torch.Tensor  # [B, K] bool: whether a hypothesis contains another token
        steps: int

        def select(self, rows: torch.Tensor | None, beams: torch.Tensor) -> "Confident.State":
            rows = torch.arange(len(beams)) if rows is None else rows
            return Confident.State(self.lost[rows.unsqueeze(1), beams], self.steps)

    token = 5

    def forward(self, batch: Batch) -> LossSums:
        raise NotImplementedError

    def start(self, source: TokenInput, *, max_steps: int) -> State:
        return Confident.State(torch.zeros(len(source.ids), 1, dtype=torch.bool), 0)

    def step(self, tokens: torch.Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, State]:  # type: ignore[override]
        lost = state.lost | ((tokens != self.token) & (tokens != BOS))
        logits = torch.zeros(*tokens.shape, 13)
        logits[..., self.token if state.steps < 9 else EOS] = 10.0
        logits[lost] = torch.nn.functional.one_hot(torch.tensor(EOS), 13) * 10.0
        return StepOutput(logits), Confident.State(lost, state.steps + 1)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_exact_stopping_finds_the_best_despite_early_finishers(beam_size: int) -> None:
    for hypotheses in search(Confident(), source(13), beam_size, 40, stopping="exact"):
        assert hypotheses[0].tokens == [Confident.token] * 9
        assert len(hypotheses) == beam_size


def test_low_patience_stops_at_early_finishers() -> None:
    for patience, finds_best in ((1.0, False), (20.0, True)):
        for hypotheses in search(Confident(), source(13), 5, 40, patience=patience):
            assert len(hypotheses) == 5
            assert (hypotheses[0].tokens == [Confident.token] * 9) is finds_best


def test_each_sentence_has_its_own_limit() -> None:
    model, batch = network("fixed", 13), source(13)
    model.bias.data[EOS] = -50.0  # no hypothesis ends by itself
    found = search(model, batch, 2, [1, 4, 6])
    assert [len(hypotheses[0].tokens) for hypotheses in found] == [1, 4, 6]
    assert all(hypotheses[0].truncated for hypotheses in found)


def test_attention_follows_its_hypothesis() -> None:
    model, batch = network("attention", 13), source(13)
    for row, found in enumerate(search(model, batch, beam=3, max_length=6, need_attention=True)):
        best = found[0]
        tokens = [*best.tokens, *([] if best.truncated else [EOS])]
        assert best.attention is not None
        assert best.attention.shape == (len(tokens), S)
        memory = model.encode(TokenInput(batch.ids[row : row + 1], batch.lengths[row : row + 1]))
        forced = model.decoder(memory, torch.tensor([[BOS, *tokens[:-1]]]), need_attention=True)
        torch.testing.assert_close(torch.from_numpy(best.attention), forced.attention[0])


@families
@pytest.mark.parametrize("stopping", ["first", "exact"])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_looking_rarely_changes_nothing(
    family: str, stopping: str, beam_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = network(family, 13), source(13)
    model.bias.data[EOS] = 0.8  # sentences end after different numbers of steps
    found = []
    for steps in (1, 2, 4, 100):
        monkeypatch.setattr(beam, "tuning", lambda _, steps=steps: replace(tuning("cpu"), steps_between_looks=steps))
        found.append(search(model, batch, beam_size, [9, 4, 7], stopping=stopping, patience=2.0, need_attention=True))
    lengths = {len(hypothesis.tokens) for nbest in found[0] for hypothesis in nbest}
    assert len(lengths) > 1
    for other in found[1:]:
        for one, same in zip(itertools.chain(*found[0]), itertools.chain(*other), strict=True):
            assert (one.tokens, one.truncated) == (same.tokens, same.truncated)
            assert one.score == pytest.approx(same.score, rel=1e-5)
            assert (one.attention is None) == (same.attention is None)
            if one.attention is not None and same.attention is not None:
                np.testing.assert_allclose(one.attention, same.attention, atol=1e-5)


def test_forward_ignores_padding() -> None:
    model, batch = network("attention", 13), source(13)
    labels = torch.tensor([[5, 6, EOS], [7, EOS, 0], [EOS, 0, 0]])
    inputs = torch.tensor([[BOS, 5, 6], [BOS, 7, 0], [BOS, 0, 0]])
    sums = model(pairs(batch, inputs, labels))
    assert sums.tokens == 6
    state, expected = model.start(batch, max_steps=3), 0.0
    for t in range(3):
        step, state = model.step(inputs[:, t : t + 1], state)
        chosen = step.logits[:, 0].log_softmax(1).gather(1, labels[:, t : t + 1]).squeeze(1)
        expected -= chosen[labels[:, t] != 0].sum().item()
    assert math.isclose(sums.nll.item(), expected, rel_tol=1e-5)


def test_blockwise_topk_equals_topk() -> None:
    torch.manual_seed(3)
    for width in (7, 64, 1000, 8000, 8007):
        values = torch.randn(2, 3, width)
        values[0, 0, : width // 2] = -torch.inf
        for count in (1, 4, 7):
            expected = values.topk(count)
            best, places = blockwise_topk(values, count)
            assert torch.equal(best, expected.values)
            assert torch.equal(values.gather(2, places), best)


@families
def test_prefix_is_forced_and_free(family: str) -> None:
    model, batch = network(family, 13), source(13)
    prefix = torch.tensor([[5, 7], [6, 0], [0, 0]])
    free = search(model, batch, 3, 8)
    for row, found in enumerate(search(model, batch, 3, 8, prefix=prefix)):
        head = [token for token in prefix[row].tolist() if token]
        assert all(hypothesis.tokens[: len(head)] == head for hypothesis in found)
        for hypothesis in found:  # forced tokens have log-probability 0
            tokens = [*hypothesis.tokens, *([] if hypothesis.truncated else [EOS])]
            own = log_probability(model, batch, row, tokens) - (log_probability(model, batch, row, head) if head else 0)
            assert math.isclose(hypothesis.log_probability, own, rel_tol=1e-4, abs_tol=1e-5)
        if not head:
            assert [hypothesis.tokens for hypothesis in found] == [hypothesis.tokens for hypothesis in free[row]]


def test_min_length() -> None:
    model, batch = network("attention", 13), source(13)
    model.bias.data[EOS] = 8.0
    found = search(model, batch, 2, 9, min_length=torch.tensor([0, 3, 5]))
    assert [min(len(h.tokens) for h in hypotheses) for hypotheses in found] == [0, 3, 5]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_ngram_repeats(n: int) -> None:
    model, batch = network("fixed", 9), source(9)
    model.bias.data[EOS] = -9.0
    model.bias.data[5] = 3.0

    def repeated(tokens: list[int]) -> bool:
        ngrams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
        return len(set(ngrams)) < len(ngrams)

    assert any(repeated(h.tokens) for hypotheses in search(model, batch, 3, 20) for h in hypotheses)
    found = search(model, batch, 3, 20, no_repeat_ngram=n)
    assert not any(repeated(h.tokens) for hypotheses in found for h in hypotheses)
    assert all(len(hypotheses) == 3 for hypotheses in found)
