"""An ensemble: several networks that share a vocabulary, and write together what they find probable on average.

B sentences, K hypotheses of each, S source positions, T target positions, V vocabulary, M members.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from s2s.models.interface import NLL, Batch, LossSums, Model, Objective, Source, State, StepOutput
from s2s.text.tokenizer import PAD


@dataclass(frozen=True, slots=True)
class EnsembleState:
    """The members' states."""

    members: tuple[State, ...]

    def select(self, rows: Tensor, beams: Tensor) -> "EnsembleState":
        """Select sentences `rows` [B'] and, of each, the hypotheses `beams` [B', K']."""
        return EnsembleState(tuple(state.select(rows, beams) for state in self.members))


class Ensemble:
    """p(y | …) = 1/M Σ_m p_m(y | …), the arithmetic mean of probabilities; weights are averaged alike."""

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = tuple(members)

    def forward(self, batch: Batch, objective: Objective = NLL) -> LossSums:
        """Return the negative log-likelihood of sources [B, S] and targets [B, T], which is also the loss."""
        state: State = self.start(batch.source, max_steps=batch.inputs.shape[1])
        nll = torch.zeros((), device=batch.inputs.device)
        for inputs, labels in zip(batch.inputs.split(1, dim=1), batch.labels.split(1, dim=1), strict=True):
            step, state = self.step(inputs, state)
            chosen = step.logits[:, 0].log_softmax(1).gather(1, labels)
            nll -= chosen[labels != PAD].sum()
        return LossSums(loss=nll, nll=nll, tokens=(batch.labels != PAD).sum())

    def start(self, source: Source, *, max_steps: int) -> EnsembleState:
        """Encode the source with every member."""
        return EnsembleState(tuple(member.start(source, max_steps=max_steps) for member in self.members))

    def step(self, tokens: Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, EnsembleState]:
        """Return logs of averaged probabilities [B, K, V], and mean attention [B, K, S] if every member has it."""
        assert isinstance(state, EnsembleState)
        answers = [
            member.step(tokens, own, need_attention=need_attention)
            for member, own in zip(self.members, state.members, strict=True)
        ]
        steps = [step for step, _ in answers]
        logits = torch.stack([step.logits.log_softmax(-1) for step in steps]).logsumexp(0) - log(len(steps))
        shown = [step.attention for step in steps if step.attention is not None]
        mean = torch.stack(shown).mean(0) if len(shown) == len(steps) else None
        return StepOutput(logits, mean), EnsembleState(tuple(following for _, following in answers))
