"""Beam search against greedy loops, exhaustive enumeration and forced scores, on small random networks."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from s2s.decoding.search import NEVER, Hypothesis, beam_search
from s2s.models.families import build_model
from s2s.models.interface import BOS, EOS, Batch, LossSums, Source, Step
from s2s.models.seq2seq import Seq2Seq
from s2s.recipe.model_options import ModelOptions, RnnDecoderOptions, RnnEncoderOptions

B, S = 3, 5
LENGTHS = torch.tensor([5, 2, 4])
contexts = pytest.mark.parametrize("context", ["summary", "attention"])


def network(context: str, vocabulary: int, seed: int = 1) -> Seq2Seq:
    torch.manual_seed(seed)
    options = ModelOptions(
        embedding=6, encoder=RnnEncoderOptions(width=4), decoder=RnnDecoderOptions(width=9, context=context)
    )
    model = build_model(options, vocabulary).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model


def source(vocabulary: int) -> Source:
    ids = torch.randint(4, vocabulary, (B, S), generator=torch.Generator().manual_seed(2))
    return Source(ids.masked_fill(torch.arange(S) >= LENGTHS.unsqueeze(1), 0), LENGTHS)


def search(
    model: Seq2Seq, given: Source, beam: int, limit: int, alpha: float = 1.0, weights: bool = False
) -> list[list[Hypothesis]]:
    limits = [limit] * len(given.ids)
    with torch.inference_mode():
        return beam_search(model, given, beam=beam, length_penalty=alpha, max_lengths=limits, weights=weights)


def log_probability(model: Seq2Seq, given: Source, row: int, pieces: list[int]) -> float:
    """Of one target under teacher forcing, with the pieces that a translation never holds masked as the search masks
    them.
    """
    state, total, last = model.start(Source(given.ids[row : row + 1], given.lengths[row : row + 1]), steps=9), 0.0, BOS
    for piece in pieces:
        step, state = model.step(torch.tensor([[last]]), state)
        logits = step.logits[0, 0].clone()
        logits[list(NEVER)] = -torch.inf
        total += logits.log_softmax(0)[piece].item()
        last = piece
    return total


@contexts
def test_a_beam_of_one_is_greedy(context: str) -> None:
    model, given = network(context, 13), source(13)
    for row, (best,) in enumerate(search(model, given, beam=1, limit=8)):
        state, last, pieces = (
            model.start(Source(given.ids[row : row + 1], given.lengths[row : row + 1]), steps=9),
            BOS,
            [],
        )
        while last != EOS and len(pieces) < 8:
            step, state = model.step(torch.tensor([[last]]), state)
            step.logits[..., NEVER] = -torch.inf
            last = int(step.logits.argmax())
            pieces.append(last)
        assert best.pieces == [piece for piece in pieces if piece != EOS]
        assert best.cut == (last != EOS)


@contexts
def test_a_wide_beam_is_exhaustive_search(context: str) -> None:
    vocabulary, limit = 7, 3  # pieces 4, 5, 6 and EOS
    model, given = network(context, vocabulary), source(vocabulary)
    everything = [[*head, EOS] for length in range(limit) for head in itertools.product([4, 5, 6], repeat=length)] + [
        list(body) for body in itertools.product([4, 5, 6], repeat=limit)
    ]
    for alpha in (0.0, 1.0):
        for row, found in enumerate(search(model, given, beam=len(everything), limit=limit, alpha=alpha)):
            scored = {tuple(p): log_probability(model, given, row, p) / len(p) ** alpha for p in everything}
            ranked = sorted(scored, key=lambda p: scored[p], reverse=True)
            assert [(*h.pieces, *([] if h.cut else [EOS])) for h in found] == ranked
            for hypothesis, pieces in zip(found, ranked, strict=True):
                assert math.isclose(hypothesis.score, scored[pieces], rel_tol=1e-4, abs_tol=1e-5)


@contexts
def test_the_score_is_the_forced_one_and_neighbours_change_nothing(context: str) -> None:
    model, given = network(context, 13), source(13)
    together = search(model, given, beam=3, limit=6)
    for row, length in enumerate(LENGTHS.tolist()):
        best = together[row][0]
        pieces = [*best.pieces, *([] if best.cut else [EOS])]
        assert math.isclose(best.log_probability, log_probability(model, given, row, pieces), rel_tol=1e-4)
        assert math.isclose(best.score, best.log_probability / len(pieces), rel_tol=1e-6)
        alone = search(model, Source(given.ids[row : row + 1, :length], given.lengths[row : row + 1]), beam=3, limit=6)
        assert [h.pieces for h in alone[0]] == [h.pieces for h in together[row]]


class Sure:
    """A model that goes on for 9 pieces and then ends, almost surely; whatever else it begins, it ends at once."""

    @dataclass(frozen=True)
    class State:
        lost: torch.Tensor  # [B, K] bool: whether a hypothesis has left the way
        steps: int

        def select(self, rows: torch.Tensor, beams: torch.Tensor) -> "Sure.State":
            return Sure.State(self.lost[rows.unsqueeze(1), beams], self.steps)

    way = 5

    def forward(self, batch: Batch) -> LossSums:
        raise NotImplementedError

    def start(self, source: Source, *, steps: int) -> State:
        return Sure.State(torch.zeros(len(source.ids), 1, dtype=torch.bool), 0)

    def step(self, tokens: torch.Tensor, state: State, *, weights: bool = False) -> tuple[Step, State]:  # type: ignore[override]
        lost = state.lost | ((tokens != self.way) & (tokens != BOS))
        logits = torch.zeros(*tokens.shape, 13)
        logits[..., self.way if state.steps < 9 else EOS] = 10.0
        logits[lost] = torch.nn.functional.one_hot(torch.tensor(EOS), 13) * 10.0
        return Step(logits), Sure.State(lost, state.steps + 1)


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_scraps_that_finish_early_do_not_push_out_the_first_choice(beam: int) -> None:
    for hypotheses in beam_search(Sure(), source(13), beam=beam, length_penalty=1.0, max_lengths=[40] * B):
        assert hypotheses[0].pieces == [Sure.way] * 9
        assert len(hypotheses) == beam


def test_limits_are_each_sentences_own() -> None:
    model, given = network("summary", 13), source(13)
    model.bias.data[EOS] = -50.0  # so that nothing ends by itself
    with torch.inference_mode():
        found = beam_search(model, given, beam=2, length_penalty=1.0, max_lengths=[1, 4, 6])
    assert [len(hypotheses[0].pieces) for hypotheses in found] == [1, 4, 6]
    assert all(hypotheses[0].cut for hypotheses in found)


def test_weights_follow_their_hypothesis() -> None:
    model, given = network("attention", 13), source(13)
    for row, found in enumerate(search(model, given, beam=3, limit=6, weights=True)):
        best = found[0]
        pieces = [*best.pieces, *([] if best.cut else [EOS])]
        assert best.weights is not None
        assert best.weights.shape == (len(pieces), S)
        memory = model.encoder(given.ids[row : row + 1], given.lengths[row : row + 1])
        forced = model.decoder(memory, torch.tensor([[BOS, *pieces[:-1]]]), weights=True)
        torch.testing.assert_close(best.weights, forced.weights[0])


def test_forward_counts_real_pieces_alone() -> None:
    model, given = network("attention", 13), source(13)
    labels = torch.tensor([[5, 6, EOS], [7, EOS, 0], [EOS, 0, 0]])
    inputs = torch.tensor([[BOS, 5, 6], [BOS, 7, 0], [BOS, 0, 0]])
    sums = model(Batch(given, inputs, labels))
    assert int(sums.tokens) == 6
    state, expected = model.start(given, steps=3), 0.0
    for t in range(3):
        step, state = model.step(inputs[:, t : t + 1], state)
        chosen = step.logits[:, 0].log_softmax(1).gather(1, labels[:, t : t + 1]).squeeze(1)
        expected -= chosen[labels[:, t] != 0].sum().item()
    assert math.isclose(sums.nll.item(), expected, rel_tol=1e-5)
