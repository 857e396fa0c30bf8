"""Beam search for every model through `start`, `step` and `select`; greedy search is beam size 1.

B sentences still searched, K hypotheses per sentence, V vocabulary size.
"""

import torch
from torch import Tensor

from s2s.decoding.active import ActiveHypotheses
from s2s.decoding.constraints import Constraints
from s2s.decoding.engine import Hypothesis
from s2s.models.interface import EOS, Model, State, TokenInput
from s2s.recipe.decoding import DecodingOptions

BLOCK_SIZE = 64  # logits whose maximum is found first


class BeamSearch:
    """Beam search over one batch.

    Candidates are ranked by the sum of log-probabilities, finished hypotheses by log-probability / length^α. A sentence
    is done when beam_size × patience hypotheses have finished (stopping "first"; Kasai et al. 2022), or when no active
    hypothesis can still enter the `nbest` finished ones ("exact"). At its length limit it is done in any case, and
    unfinished hypotheses are truncated.
    """

    def __init__(self, options: DecodingOptions, constraints: Constraints, *, nbest: int = 1) -> None:
        self.options = options
        self.constraints = constraints
        self.nbest = nbest
        self.max_length: list[int] = constraints.max_length.tolist()
        self.finished: list[list[Hypothesis]] = [[] for _ in self.max_length]

    def run(self, model: Model, source: TokenInput, *, need_attention: bool = False) -> list[list[Hypothesis]]:
        """Return up to `nbest` hypotheses of each sentence, best first."""
        state = model.start(source, max_steps=max(self.max_length))
        active = ActiveHypotheses.initial(source, 1, need_attention)
        while len(active.sentences):
            state, origins = self._expand(model, state, active)
            self._collect_finished(active)
            state = self._prune(active, state, origins)
        return [sorted(hypotheses, key=lambda h: h.score, reverse=True)[: self.nbest] for hypotheses in self.finished]

    def _expand(self, model: Model, state: State, active: ActiveHypotheses) -> tuple[State, Tensor]:
        """Replace the hypotheses by their 2 × beam_size best continuations, best first.

        Up to beam_size of them may end with EOS, which leaves as many to go on with. Also return the hypothesis
        [B, 2 × beam_size] that each continues.
        """
        step, state = model.step(active.tokens[:, :, -1], state, need_attention=active.attention is not None)
        self.constraints.mask(step.logits, active.sentences, active.tokens)
        log_probabilities = step.logits.log_softmax(2)  # one pass, where logsumexp alone takes several
        values, tokens = blockwise_topk(log_probabilities, min(2 * self.options.beam_size, step.logits.shape[2]))
        totals = (values + active.scores.unsqueeze(2)).flatten(1)
        scores, order = totals.topk(min(2 * self.options.beam_size, totals.shape[1]), dim=1)
        origins = order // values.shape[2]
        rows = torch.arange(len(scores), device=scores.device)
        active.select(rows, origins)
        active.scores = scores
        attention = None if step.attention is None else step.attention[rows.unsqueeze(1), origins]
        active.append(tokens.flatten(1).gather(1, order), attention)
        return state, origins

    def _collect_finished(self, active: ActiveHypotheses) -> None:
        """Move finished hypotheses among the beam_size best to `finished`; never extend one that ends with EOS."""
        at_eos = active.tokens[:, :, -1] == EOS
        at_limit = (self.constraints.max_length[active.sentences] <= active.length).unsqueeze(1)
        finished = ((at_eos | at_limit) & active.scores.isfinite())[:, : self.options.beam_size]
        for sentence, _, hypothesis in active.extract(finished, self.options.length_penalty):
            self.finished[sentence].append(hypothesis)
        active.scores = active.scores.masked_fill(at_eos, -torch.inf)

    def _prune(self, active: ActiveHypotheses, state: State, origins: Tensor) -> State:
        """Drop sentences that are done and keep the beam_size best hypotheses of the others."""
        best_scores = zip(active.sentences.tolist(), active.scores.amax(1).tolist(), strict=True)
        unfinished = [
            row for row, (sentence, best) in enumerate(best_scores) if not self._is_done(sentence, best, active.length)
        ]
        rows = torch.tensor(unfinished, dtype=torch.long, device=active.scores.device)
        columns = active.scores[rows].topk(min(self.options.beam_size, active.scores.shape[1]), dim=1).indices
        active.select(rows, columns)
        return state.select(rows, origins[rows].gather(1, columns))

    def _is_done(self, sentence: int, best: float, length: int) -> bool:
        """Return whether the search of a sentence is over, given its best active log-probability."""
        finished, limit = self.finished[sentence], self.max_length[sentence]
        if length >= limit or best == -torch.inf:
            return True
        if self.options.stopping == "first" or self.options.beam_size == 1:
            return len(finished) >= self.options.finished_to_stop
        bound = best / limit**self.options.length_penalty  # reached if all following tokens had probability 1
        return sum(hypothesis.score >= bound for hypothesis in finished) >= self.nbest


def blockwise_topk(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of values [..., V] and their indices, as `topk` does, several times as fast on a CPU.

    They lie in the k blocks with the largest maxima; only those are searched.
    """
    V = values.shape[-1]
    blocks, remainder = V // BLOCK_SIZE, V % BLOCK_SIZE
    if blocks < 4 * k:
        return values.topk(k, dim=-1)
    body = values[..., : V - remainder].unflatten(-1, (blocks, BLOCK_SIZE))
    best_blocks = body.amax(-1).topk(k, dim=-1).indices.unsqueeze(-1)
    candidates = best_blocks * BLOCK_SIZE + torch.arange(BLOCK_SIZE, device=values.device)
    tail = torch.arange(V - remainder, V, device=values.device).expand(*values.shape[:-1], remainder)
    candidates = torch.cat((candidates.flatten(-2), tail), -1)
    largest, order = values.gather(-1, candidates).topk(k, dim=-1)
    return largest, candidates.gather(-1, order)
