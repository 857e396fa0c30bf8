"""Forced decoding: how probable a model finds given translations."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp

import numpy as np
import torch
from numpy.typing import NDArray

from s2s.data.batches import Sentences, pair_batch
from s2s.data.cutting import Rows, cut_batches
from s2s.models.interface import Batch, Model

BATCH_TOKENS = 4096  # of the longer side, padding included


@dataclass(frozen=True, slots=True)
class ForcedScore:
    """Negative log-likelihood in nats, and the pieces it is over (EOS counted)."""

    nll: float
    pieces: int

    @property
    def perplexity(self) -> float:
        """exp(nll / pieces)."""
        return exp(min(self.nll / max(self.pieces, 1), 700))


def forced_score(model: Model, sources: Sentences, targets: Sentences, device: torch.device) -> ForcedScore:
    """The teacher-forced score of N target sentences given their sources, both as pieces."""
    nll, pieces = 0.0, 0
    with torch.inference_mode():
        for _, batch in _batches(sources, targets, device):
            sums = model.forward(batch)
            nll += float(sums.nll)
            pieces += int(sums.tokens)
    return ForcedScore(nll, pieces)


def forced_choices(
    model: Model, sources: Sentences, targets: Sentences, device: torch.device
) -> list[NDArray[np.int64]]:
    """The piece that the model would write next at each position of N targets [T + 1], given what stands before it."""
    chosen: dict[int, NDArray[np.int64]] = {}
    with torch.inference_mode():
        for rows, batch in _batches(sources, targets, device):
            state, steps = model.start(batch.source, steps=batch.inputs.shape[1]), []
            for tokens in batch.inputs.split(1, dim=1):
                step, state = model.step(tokens, state)
                steps.append(step.logits[:, 0].argmax(-1))
            chosen.update(zip(rows.tolist(), torch.stack(steps, 1).cpu().numpy(), strict=True))
    return [chosen[row][: len(target) + 1] for row, target in enumerate(targets)]


def _batches(sources: Sentences, targets: Sentences, device: torch.device) -> Iterator[tuple[Rows, Batch]]:
    """Batches of sentences of like length, and which they are."""
    lengths = np.array([max(len(s), len(t)) + 1 for s, t in zip(sources, targets, strict=True)])
    order = lengths.argsort(kind="stable")
    for rows in cut_batches(lengths[order], order, BATCH_TOKENS):
        yield rows, pair_batch([sources[row] for row in rows], [targets[row] for row in rows], device)
