"""Beam search, for every decoder through `start`, `step` and `select`; greedy search is a beam of one.

B sentences still searched, K hypotheses of each, S source positions, V vocabulary, L tokens written so far.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from s2s.decoding.constraints import Constraints
from s2s.decoding.hypothesis import Hypothesis
from s2s.models.interface import BOS, EOS, Model, State, TokenInput
from s2s.recipe.decoding import DecodingOptions

BLOCK = 64  # logits of which the largest is found first


@dataclass(slots=True)
class Beams:
    """The hypotheses under way: which sentence a row is, scores [B, K], tokens [B, K, L + 1] (BOS first), weights
    [B, K, L, S] or None.
    """

    sentences: Tensor
    scores: Tensor
    tokens: Tensor
    attention: Tensor | None

    @property
    def length(self) -> int:
        """L."""
        return self.tokens.shape[2] - 1

    def select(self, rows: Tensor, beams: Tensor) -> None:
        """Keep sentences `rows` [B'] and of each the hypotheses `beams` [B', K']."""
        rows_of = rows.unsqueeze(1)
        self.sentences = self.sentences[rows]
        self.scores = self.scores[rows_of, beams]
        self.tokens = self.tokens[rows_of, beams]
        self.attention = None if self.attention is None else self.attention[rows_of, beams]


class BeamSearch:
    """The search of one batch of B sentences.

    Candidates are ranked by the sum of log-probabilities, finished hypotheses by log-probability / length^α. A sentence
    is done when beam × patience hypotheses have finished (stopping "first"; Kasai et al. 2022), or when nothing under
    way could still come among the `nbest` finished ("exact"), and in any case at its length limit, where what is
    unfinished is cut.
    """

    def __init__(self, options: DecodingOptions, constraints: Constraints, *, nbest: int = 1) -> None:
        self.options = options
        self.constraints = constraints
        self.nbest = nbest
        self.max_length: list[int] = constraints.max_length.tolist()
        self.found: list[list[Hypothesis]] = [[] for _ in self.max_length]

    def run(self, model: Model, source: TokenInput, *, need_attention: bool = False) -> list[list[Hypothesis]]:
        """Return up to `nbest` hypotheses of each sentence, best first."""
        state = model.start(source, max_steps=max(self.max_length))
        B, device = len(self.max_length), source.ids.device
        beams = Beams(
            sentences=torch.arange(B, device=device),
            scores=torch.zeros(B, 1, device=device),
            tokens=torch.full((B, 1, 1), BOS, device=device),
            attention=torch.zeros(B, 1, 0, source.ids.shape[1], device=device) if need_attention else None,
        )
        while len(beams.sentences):
            state, origins = self._advance(model, state, beams)
            self._collect(beams)
            state = self._continue(beams, state, origins)
        return [sorted(found, key=lambda h: h.score, reverse=True)[: self.nbest] for found in self.found]

    def _advance(self, model: Model, state: State, beams: Beams) -> tuple[State, Tensor]:
        """One step: each sentence's 2 × beam best continuations, best first, and the hypothesis [B, 2 × beam] each
        comes from.

        Twice as many as go on, because as many as `beam` of them may end in EOS.
        """
        step, state = model.step(beams.tokens[:, :, -1], state, need_attention=beams.attention is not None)
        self.constraints.mask(step.logits, beams.sentences, beams.tokens)
        log_probabilities = step.logits.log_softmax(2)  # one pass, where logsumexp alone takes several
        best, tokens = largest(log_probabilities, min(2 * self.options.beam_size, step.logits.shape[2]))
        totals = (best + beams.scores.unsqueeze(2)).flatten(1)
        scores, order = totals.topk(min(2 * self.options.beam_size, totals.shape[1]), dim=1)
        origins = order // best.shape[2]
        if beams.attention is not None and step.attention is not None:
            beams.attention = torch.cat((beams.attention, step.attention.unsqueeze(2)), dim=2)
        beams.select(torch.arange(len(scores), device=scores.device), origins)
        beams.scores = scores
        beams.tokens = torch.cat((beams.tokens, tokens.flatten(1).gather(1, order).unsqueeze(2)), dim=2)
        return state, origins

    def _collect(self, beams: Beams) -> None:
        """Put those of the `beam` best that end in EOS, or are at the length limit, among the found. No EOS goes on."""
        at_eos = beams.tokens[:, :, -1] == EOS
        at_limit = (self.constraints.max_length[beams.sentences] <= beams.length).unsqueeze(1)
        finished = ((at_eos | at_limit) & beams.scores.isfinite())[:, : self.options.beam_size].nonzero(as_tuple=True)
        sentences, totals, tokens = beams.sentences[finished[0]], beams.scores[finished], beams.tokens[finished][:, 1:]
        shown = None if beams.attention is None else beams.attention[finished].cpu().numpy()
        for index, (sentence, total, written) in enumerate(
            zip(sentences.tolist(), totals.tolist(), tokens.tolist(), strict=True)
        ):
            weights = None if shown is None else shown[index]
            self.found[sentence].append(Hypothesis.of(written, total, self.options.length_penalty, weights))
        beams.scores = beams.scores.masked_fill(at_eos, -torch.inf)

    def _continue(self, beams: Beams, state: State, origins: Tensor) -> State:
        """Leave the sentences that are done, and keep the `beam` best unfinished hypotheses of the others."""
        standing = zip(beams.sentences.tolist(), beams.scores.amax(1).tolist(), strict=True)
        going = [row for row, (sentence, best) in enumerate(standing) if not self._done(sentence, best, beams.length)]
        rows = torch.tensor(going, dtype=torch.long, device=beams.scores.device)
        kept = beams.scores[rows].topk(min(self.options.beam_size, beams.scores.shape[1]), dim=1).indices
        beams.select(rows, kept)
        return state.select(rows, origins[rows].gather(1, kept))

    def _done(self, sentence: int, best: float, length: int) -> bool:
        """Whether a sentence's search is over, whose best hypothesis under way has the log-probability `best`."""
        found, limit = self.found[sentence], self.max_length[sentence]
        if length >= limit or best == -torch.inf:
            return True
        if self.options.stopping == "first" or self.options.beam_size == 1:
            return len(found) >= self.options.finished_to_stop
        highest = best / limit**self.options.length_penalty  # that it could reach, were all that follows certain
        return sum(hypothesis.score >= highest for hypothesis in found) >= self.nbest


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of values [..., V], largest first, and their indices, as `topk` does.

    They lie in the `count` blocks whose own largest are largest; the rest is not looked at again, which on a processor
    is several times as fast.
    """
    V = values.shape[-1]
    blocks, rest = V // BLOCK, V % BLOCK
    if blocks < 4 * count:
        return values.topk(count, dim=-1)
    body = values[..., : V - rest].unflatten(-1, (blocks, BLOCK))
    chosen = body.amax(-1).topk(count, dim=-1).indices.unsqueeze(-1)
    places = chosen * BLOCK + torch.arange(BLOCK, device=values.device)
    places = torch.cat(
        (places.flatten(-2), torch.arange(V - rest, V, device=values.device).expand(*values.shape[:-1], rest)), -1
    )
    best, order = values.gather(-1, places).topk(count, dim=-1)
    return best, places.gather(-1, order)
