"""Beam search, for every decoder through `start`, `step` and `select`; greedy search is a beam of one.

B sentences still searched, K hypotheses of each, S source positions, V vocabulary, L pieces written so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2s.models.interface import BOS, EOS, PAD, UNK, Model, Source, State

NEVER = (PAD, UNK, BOS)  # pieces that a translation does not contain


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished translation: its pieces (EOS left out), its log-probability, its score (the log-probability /
    length^α, EOS counted), whether it was cut at the length limit, and attention weights [L, S] (EOS's row last)
    where asked for.
    """

    pieces: list[int]
    log_probability: float
    score: float
    cut: bool
    weights: Tensor | None = None


@dataclass(slots=True)
class Beams:
    """The hypotheses under way: which sentence a row is, scores [B, K], pieces [B, K, L], weights [B, K, L, S] or
    None.
    """

    sentences: Tensor
    scores: Tensor
    pieces: Tensor
    weights: Tensor | None

    def select(self, rows: Tensor, beams: Tensor) -> None:
        """Keep sentences `rows` [B'] and of each the hypotheses `beams` [B', K']."""
        rows_of = rows.unsqueeze(1)
        self.sentences = self.sentences[rows]
        self.scores = self.scores[rows_of, beams]
        self.pieces = self.pieces[rows_of, beams]
        self.weights = None if self.weights is None else self.weights[rows_of, beams]


def beam_search(
    model: Model,
    source: Source,
    *,
    beam: int,
    length_penalty: float,
    max_lengths: Sequence[int],
    weights: bool = False,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each of B sentences, best first.

    Candidates are ranked by the sum of log-probabilities, finished hypotheses by log-probability / length^α (α =
    `length_penalty`). A sentence is done when `beam` hypotheses have finished and none under way is, at the length that
    it has, ranked above them all: a model that is sure of itself would else end with scraps that finished before its
    first choice did. `max_lengths` [B]: most pieces, EOS included; an unfinished hypothesis is cut there.
    """
    found: list[list[Hypothesis]] = [[] for _ in max_lengths]
    device = source.ids.device
    limits = torch.tensor(max_lengths, device=device)
    state = model.start(source, steps=max(max_lengths))
    B = len(max_lengths)
    beams = Beams(
        sentences=torch.arange(B, device=device),
        scores=torch.zeros(B, 1, device=device),
        pieces=torch.full((B, 1, 1), BOS, device=device),
        weights=torch.zeros(B, 1, 0, source.ids.shape[1], device=device) if weights else None,
    )
    while len(beams.sentences):
        state, origins = _advance(model, state, beams, beam)
        _collect(beams, found, limits, beam, length_penalty)
        state = _go_on(beams, state, origins, found, limits, beam, length_penalty)
    return [sorted(hypotheses, key=lambda h: h.score, reverse=True)[:beam] for hypotheses in found]


def _advance(model: Model, state: State, beams: Beams, beam: int) -> tuple[State, Tensor]:
    """One step: each sentence's 2 × beam best continuations, best first, and the hypothesis [B, 2 × beam] each comes
    from.

    Twice as many as go on, because as many as `beam` of them may end in EOS.
    """
    step, state = model.step(beams.pieces[:, :, -1], state, weights=beams.weights is not None)
    logits = step.logits
    logits[..., NEVER] = -torch.inf
    B, K, V = logits.shape
    count = min(2 * beam, V - len(NEVER))
    best, tokens = logits.topk(count, dim=2)
    totals = (best - logits.logsumexp(2, keepdim=True) + beams.scores.unsqueeze(2)).flatten(1)
    scores, order = totals.topk(min(2 * beam, K * count), dim=1)
    origins = order // count
    if beams.weights is not None and step.weights is not None:
        beams.weights = torch.cat((beams.weights, step.weights.unsqueeze(2)), dim=2)
    beams.select(torch.arange(B, device=logits.device), origins)
    beams.scores = scores
    beams.pieces = torch.cat((beams.pieces, tokens.flatten(1).gather(1, order).unsqueeze(2)), dim=2)
    return state, origins


def _collect(beams: Beams, found: list[list[Hypothesis]], limits: Tensor, beam: int, length_penalty: float) -> None:
    """Put those of the `beam` best that end in EOS, or are at the length limit, among the found. No EOS goes on."""
    length = beams.pieces.shape[2] - 1
    at_eos = beams.pieces[:, :, -1] == EOS
    at_limit = (limits[beams.sentences] <= length).unsqueeze(1)
    finished = ((at_eos | at_limit) & beams.scores.isfinite())[:, :beam].nonzero(as_tuple=True)
    sentences, totals, pieces = beams.sentences[finished[0]], beams.scores[finished], beams.pieces[finished][:, 1:]
    for index, (sentence, total, written) in enumerate(
        zip(sentences.tolist(), totals.tolist(), pieces.tolist(), strict=True)
    ):
        cut = written[-1] != EOS
        found[sentence].append(
            Hypothesis(
                pieces=written if cut else written[:-1],
                log_probability=total,
                score=total / length**length_penalty,
                cut=cut,
                weights=None if beams.weights is None else beams.weights[finished][index],
            )
        )
    beams.scores = beams.scores.masked_fill(at_eos, -torch.inf)


def _go_on(
    beams: Beams,
    state: State,
    origins: Tensor,
    found: list[list[Hypothesis]],
    limits: Tensor,
    beam: int,
    length_penalty: float,
) -> State:
    """Leave the sentences that are done, and keep the `beam` best unfinished hypotheses of the others."""
    length = beams.pieces.shape[2] - 1
    ranked = beams.scores.amax(1) / length**length_penalty
    standing = zip(beams.sentences.tolist(), limits[beams.sentences].tolist(), ranked.tolist(), strict=True)
    going = [
        row
        for row, (sentence, limit, best) in enumerate(standing)
        if length < limit and (len(found[sentence]) < beam or best > max(h.score for h in found[sentence]))
    ]
    rows = torch.tensor(going, dtype=torch.long, device=beams.scores.device)
    kept = beams.scores[rows].topk(min(beam, beams.scores.shape[1]), dim=1).indices
    beams.select(rows, kept)
    return state.select(rows, origins[rows].gather(1, kept))
