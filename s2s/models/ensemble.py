"""Ensembles: several networks with one vocabulary that decode together by averaging their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from s2s.models.interface import NLL, Batch, LossSums, Model, Objective, Source, State, StepOutput


@dataclass(frozen=True, slots=True)
class EnsembleState:
    """Decoding state of an ensemble."""

    members: tuple[State, ...]  # one per network

    def select(self, rows: Tensor | None, beams: Tensor) -> "EnsembleState":
        """Select sentences `rows` [B'], or all if None, and, of each, the hypotheses `beams` [B', K']."""
        return EnsembleState(tuple(state.select(rows, beams) for state in self.members))


class Ensemble:
    """Arithmetic mean of the members' probabilities, p(y | …) = 1/n Σ_m p_m(y | …); attention is averaged too."""

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = tuple(members)

    def forward(self, batch: Batch, objective: Objective = NLL) -> LossSums:
        """Return the negative log-likelihood of sources [B, S] and targets [B, T], which is also the loss."""
        nll = -self.log_probabilities(batch).sum()
        return LossSums(loss=nll, nll=nll, tokens=len(batch.real))

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Return the log-probability [R] of each target token that is not padding, in nats, step by step."""
        state: State = self.start(batch.source, max_steps=batch.inputs.shape[1])
        steps = []
        for inputs, labels in zip(batch.inputs.split(1, dim=1), batch.labels.split(1, dim=1), strict=True):
            output, state = self.step(inputs, state)
            steps.append(output.logits[:, 0].log_softmax(1).gather(1, labels))
        return torch.cat(steps, 1).flatten().index_select(0, batch.real)

    def start(self, source: Source, *, max_steps: int) -> EnsembleState:
        """Encode B sources with every member and return the state before the first step, K = 1."""
        return EnsembleState(tuple(member.start(source, max_steps=max_steps) for member in self.members))

    def step(self, tokens: Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, EnsembleState]:
        """Run one step: tokens [B, K] -> log-probabilities [B, K, V] as logits, and the next state.

        The mean attention [B, K, S] is returned if requested and if every member has attention.
        """
        assert isinstance(state, EnsembleState)
        results = [
            member.step(tokens, member_state, need_attention=need_attention)
            for member, member_state in zip(self.members, state.members, strict=True)
        ]
        outputs = [output for output, _ in results]
        logits = torch.stack([output.logits.log_softmax(-1) for output in outputs]).logsumexp(0) - log(len(outputs))
        attention = [output.attention for output in outputs if output.attention is not None]
        mean = torch.stack(attention).mean(0) if len(attention) == len(outputs) else None
        return StepOutput(logits, mean), EnsembleState(tuple(state for _, state in results))
