"""Beam search for every model through `start`, `step` and `select`; greedy search is beam size 1.

B sentences still searched, K hypotheses per sentence, V vocabulary size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from s2s.decoding.active import ActiveHypotheses, Ended, read_figures, read_hypotheses
from s2s.decoding.constraints import Constraints
from s2s.decoding.engine import Hypothesis
from s2s.devices.runtime import tuning
from s2s.models.interface import EOS, Model, Source, State
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
        self._sentences = list(range(len(self.max_length)))  # those still searched, on the host
        self._scores: list[list[float]] = [[] for _ in self.max_length]  # of finished hypotheses

    def run(self, model: Model, source: Source, *, need_attention: bool = False) -> list[list[Hypothesis]]:
        """Return up to `nbest` hypotheses of each sentence, best first.

        On a GPU, the host looks only every few steps at what has finished; steps beyond the end of a sentence count for
        nothing.
        """
        device, longest = self.constraints.max_length.device, max(self.max_length)
        interval = tuning(device.type).steps_between_looks
        state = model.start(source, max_steps=longest)
        active = ActiveHypotheses.initial(len(self.max_length), 1, device, need_attention)
        unread: list[Ended] = []
        while self._sentences:
            state, origins = self._expand(model, state, active)
            unread.append(self._end(active))
            rows = None
            if len(unread) == interval or active.length == longest:
                rows = self._collect_finished(unread)
                unread = []
            if self._sentences:
                state = self._prune(active, state, origins, rows)
        return [sorted(hypotheses, key=lambda h: h.score, reverse=True)[: self.nbest] for hypotheses in self.finished]

    def _expand(self, model: Model, state: State, active: ActiveHypotheses) -> tuple[State, Tensor]:
        """Replace the hypotheses by their 2 × beam_size best continuations, best first.

        Up to beam_size of them may end with EOS, which leaves as many to go on with. Also return the hypothesis
        [B, 2 × beam_size] that each continues.
        """
        step, state = model.step(active.tokens[:, :, -1], state, need_attention=active.need_attention)
        self.constraints.mask(step.logits, active.sentences, active.tokens)
        log_probabilities = step.logits.log_softmax(2)  # one pass, where logsumexp alone takes several
        values, tokens = blockwise_topk(log_probabilities, min(2 * self.options.beam_size, step.logits.shape[2]))
        totals = (values + active.scores.unsqueeze(2)).flatten(1)
        scores, order = totals.topk(min(2 * self.options.beam_size, totals.shape[1]), dim=1)
        origins = order // values.shape[2]
        active.select(None, origins)
        active.scores = scores
        attention = None
        if step.attention is not None:
            attention = step.attention.gather(1, origins.unsqueeze(2).expand(-1, -1, step.attention.shape[2]))
        active.append(tokens.flatten(1).gather(1, order), attention)
        return state, origins

    def _end(self, active: ActiveHypotheses) -> Ended:
        """Return the finished hypotheses among the beam_size best; never extend one that ends with EOS."""
        at_eos = active.tokens[:, :, -1] == EOS
        at_limit = (self.constraints.max_length[active.sentences] <= active.length).unsqueeze(1)
        finished = ((at_eos | at_limit) & active.scores.isfinite())[:, : self.options.beam_size]
        extended = active.scores.masked_fill(at_eos, -torch.inf)
        ended = active.ended(finished, extended.amax(1))
        active.scores = extended
        return ended

    def _collect_finished(self, steps: Sequence[Ended]) -> Tensor | None:
        """Collect what finished in several steps; return the sentences to go on with as rows [B'], None for all."""
        figures, penalty = read_figures(steps), self.options.length_penalty
        chosen: list[tuple[int, int, int]] = []
        running = list(range(len(self._sentences)))
        for number, figure in enumerate(figures):
            for row in running:
                for column in figure.columns[row]:
                    chosen.append((number, row, column))
                    self._scores[self._sentences[row]].append(
                        float(figure.scores[row, column]) / figure.length**penalty
                    )
            running = [
                row for row in running if not self._is_done(self._sentences[row], figure.best[row], figure.length)
            ]
        hypotheses = read_hypotheses(steps, chosen, figures, penalty)
        for (_, row, _), hypothesis in zip(chosen, hypotheses, strict=True):
            self.finished[self._sentences[row]].append(hypothesis)
        if len(running) == len(self._sentences):
            return None
        self._sentences = [self._sentences[row] for row in running]
        return torch.tensor(running, dtype=torch.long, device=steps[0].best.device)

    def _prune(self, active: ActiveHypotheses, state: State, origins: Tensor, rows: Tensor | None) -> State:
        """Keep sentences `rows` [B'], or all if None, and the beam_size best hypotheses of each."""
        scores = active.scores if rows is None else active.scores[rows]
        columns = scores.topk(min(self.options.beam_size, scores.shape[1]), dim=1).indices
        active.select(rows, columns)
        return state.select(rows, (origins if rows is None else origins[rows]).gather(1, columns))

    def _is_done(self, sentence: int, best: float, length: int) -> bool:
        """Return whether the search of a sentence is over, given its best active log-probability."""
        finished, limit = self._scores[sentence], self.max_length[sentence]
        if length >= limit or best == -torch.inf:
            return True
        if self.options.stopping == "first" or self.options.beam_size == 1:
            return len(finished) >= self.options.finished_to_stop
        bound = best / limit**self.options.length_penalty  # reached if all following tokens had probability 1
        return sum(score >= bound for score in finished) >= self.nbest


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
