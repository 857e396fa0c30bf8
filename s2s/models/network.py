"""What all networks share: loss, steps and weights around a decoder and an output projection."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from s2s.devices.runtime import tuning
from s2s.models.attention import coverage_penalty
from s2s.models.heads import ProjectedLoss
from s2s.models.interface import NLL, PAD, Batch, Decoder, LossSums, Memory, Objective, Source, State, StepOutput


class Network(nn.Module, ABC):
    """Base class of networks: a decoder and a projection to the vocabulary; implements `Model`."""

    decoder: Decoder

    def __init__(self, weight: Tensor, *, bias: bool = True) -> None:
        """Build the projection. `weight` [V, H] maps hidden vectors to logits; it may be an embedding's own table."""
        super().__init__()
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(len(weight))) if bias else None

    @abstractmethod
    def encode(self, source: Source) -> Memory:
        """Return what the decoder reads of B sources."""

    def forward(self, batch: Batch, objective: Objective = NLL) -> LossSums:
        """Return the teacher-forced loss of sources [B, S] and targets [B, T], in chunks and without padding."""
        labels = batch.labels.flatten().index_select(0, batch.real)
        if objective.r_drop:
            batch = batch.repeated(2)
        memory = self.encode(batch.source)
        decoded = self.decoder(memory, batch.inputs, need_attention=objective.attention_coverage > 0)
        hidden = decoded.hidden
        bias = hidden.new_zeros(len(self.weight)) if self.bias is None else self.bias
        needs_grad = torch.is_grad_enabled() and (
            hidden.requires_grad or self.weight.requires_grad or bias.requires_grad
        )
        loss, nll = ProjectedLoss.apply(
            _real_rows(hidden, batch),
            self.weight,
            bias,
            labels,
            objective.label_smoothing,
            objective.r_drop,
            needs_grad,
        )
        if decoded.attention is not None:
            penalty = coverage_penalty(decoded.attention, batch.labels != PAD, memory.mask)
            loss = loss + objective.attention_coverage * penalty * len(labels) / len(batch.real)
        return LossSums(loss=loss, nll=nll, tokens=len(labels))

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Return the log-probability [R] of each target token that is not padding, in nats, by teacher forcing."""
        hidden = self.decoder(self.encode(batch.source), batch.inputs).hidden
        rows = _real_rows(hidden, batch)
        labels = batch.labels.flatten().index_select(0, batch.real)
        found, step = [], tuning(rows.device.type).loss_rows
        for part, gold in zip(rows.split(step), labels.split(step), strict=True):
            logits = nn.functional.linear(part, self.weight, self.bias).float()
            found.append(logits.gather(1, gold.unsqueeze(1)).squeeze(1) - logits.logsumexp(1))
        return torch.cat(found)

    def start(self, source: Source, *, max_steps: int) -> State:
        """Encode B sources and return the state before the first step, K = 1."""
        return self.decoder.start(self.encode(source), max_steps=max_steps)

    def step(self, tokens: Tensor, state: State, *, need_attention: bool = False) -> tuple[StepOutput, State]:
        """Run one step: tokens [B, K] -> logits [B, K, V] and the next state."""
        decoded, state = self.decoder.step(tokens, state, need_attention=need_attention)
        logits = nn.functional.linear(decoded.hidden, self.weight, self.bias)
        return StepOutput(logits.float(), decoded.attention), state

    def init_weights(self) -> None:
        """Draw all weights anew."""
        for side in self.children():
            side.apply(_reset)
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def weights(self) -> dict[str, Tensor]:
        """Return parameters and persistent buffers by name; a parameter shared under several names appears once."""
        parameters = {name: parameter.detach() for name, parameter in self.named_parameters()}
        names = {name for name, _ in self.named_parameters(remove_duplicate=False)}
        return parameters | {name: buffer for name, buffer in self.state_dict().items() if name not in names}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy tensors with the names and shapes that `weights()` returns. Raises ValueError if any differ."""
        own = self.weights()
        if missing := own.keys() - weights.keys():
            raise ValueError(f"missing weights: {', '.join(sorted(missing))}")
        if unknown := weights.keys() - own.keys():
            raise ValueError(f"unknown weights: {', '.join(sorted(unknown))}")
        for name, value in own.items():
            if value.shape != weights[name].shape:
                raise ValueError(f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(value.shape)}")
            value.copy_(weights[name])


def _real_rows(hidden: Tensor, batch: Batch) -> Tensor:
    """Return the hidden vectors [R, H] of real target tokens, from those of all [B, T, H]."""
    return nn.functional.embedding(batch.real, hidden.flatten(0, 1))  # index_select's backward is slow on a CPU


def _reset(module: nn.Module) -> None:
    if callable(reset := getattr(module, "reset_parameters", None)):
        reset()
