"""Forced decoding: score given translations by teacher forcing.

B sentence pairs in a batch, N sentence pairs, S source tokens, T target tokens (both EOS excluded), V vocabulary size.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2s.data.batching import Rows, cut_batches
from s2s.data.collate import pair_batch
from s2s.data.sources import Sentences, Sources, select_sources, source_positions
from s2s.decoding.engine import ForcedScore, ForcedSentence
from s2s.devices.runtime import tuning
from s2s.models.interface import Batch, Model, StepOutput


def forced_score(model: Model, sources: Sources, targets: Sentences, device: torch.device) -> ForcedScore:
    """Return the score of N target sentences, as tokens, given their sources, as tokens or images."""
    nll, tokens = 0.0, 0
    with torch.inference_mode():
        for _, batch in _batches(sources, targets, device):
            sums = model.forward(batch)
            nll += float(sums.nll)
            tokens += sums.tokens
    return ForcedScore(nll, tokens)


def without_empty(sources: Sources, targets: Sentences) -> tuple[Sources, Sentences]:
    """Leave out the pairs with an empty side, which are translated without the model."""
    rows = [row for row, sides in enumerate(zip(sources, targets, strict=True)) if all(map(len, sides))]
    return select_sources(sources, rows), [targets[row] for row in rows]


def forced_sentences(
    model: Model, sources: Sources, targets: Sentences, device: torch.device, *, need_attention: bool = False
) -> Iterator[tuple[int, ForcedSentence]]:
    """Yield the index and scores of each of N targets given its source, batch by batch, out of order.

    Probabilities are over the whole vocabulary; a search excludes PAD, UNK and BOS. Memory: one batch.
    """
    for rows, batch in _batches(sources, targets, device):
        log_probabilities, attention = _force_batch(model, batch, need_attention)
        for index, row in enumerate(rows.tolist()):
            target_length = len(targets[row]) + 1
            own_attention = None
            if attention is not None:
                own_attention = attention[index, :target_length, : source_positions(sources[row])]
            yield row, ForcedSentence(log_probabilities[index, :target_length], own_attention)


@torch.inference_mode()
def _force_batch(
    model: Model, batch: Batch, need_attention: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return log-probabilities [B, T + 1] and attention [B, T + 1, S + 1] or None; values at padding are undefined."""
    if not need_attention:
        table = torch.zeros(batch.labels.numel(), device=batch.labels.device)
        table[batch.real] = model.log_probabilities(batch)
        return table.view(batch.labels.shape).cpu().numpy(), None
    log_probabilities: list[Tensor] = []
    attention = None
    for t, step in enumerate(_steps(model, batch, need_attention=need_attention)):
        logits, labels = step.logits[:, 0], batch.labels[:, t : t + 1]
        log_probabilities.append(logits.gather(1, labels).squeeze(1) - logits.logsumexp(1))
        if step.attention is not None:
            if attention is None:  # one block; thousands of small tensors would fragment the heap
                attention = step.attention.new_empty(
                    (*batch.labels.shape, step.attention.shape[2]), dtype=torch.float32
                )
            attention[:, t] = step.attention[:, 0]
    return torch.stack(log_probabilities, 1).cpu().numpy(), None if attention is None else attention.cpu().numpy()


def forced_predictions(
    model: Model, sources: Sources, targets: Sentences, device: torch.device
) -> list[NDArray[np.int64]]:
    """Return the model's most probable token at each position of N targets [T + 1], given the preceding tokens."""
    predictions: dict[int, NDArray[np.int64]] = {}
    with torch.inference_mode():
        for rows, batch in _batches(sources, targets, device):
            steps = [step.logits[:, 0].argmax(-1) for step in _steps(model, batch)]
            predictions.update(zip(rows.tolist(), torch.stack(steps, 1).cpu().numpy(), strict=True))
    return [predictions[row][: len(target) + 1] for row, target in enumerate(targets)]


def _steps(model: Model, batch: Batch, *, need_attention: bool = False) -> Iterator[StepOutput]:
    """Yield a model's steps over the inputs of a batch: logits [B, 1, V] and attention [B, 1, S + 1] if needed."""
    state = model.start(batch.source, max_steps=batch.inputs.shape[1])
    for tokens in batch.inputs.split(1, dim=1):
        step, state = model.step(tokens, state, need_attention=need_attention)
        yield step


def _batches(sources: Sources, targets: Sentences, device: torch.device) -> Iterator[tuple[Rows, Batch]]:
    """Yield batches of pairs of similar length, with their indices."""
    lengths = np.array([max(len(s), len(t)) + 1 for s, t in zip(sources, targets, strict=True)])
    order = lengths.argsort(kind="stable")
    for rows in cut_batches(lengths[order], order, tuning(device.type).decoding_tokens):
        yield rows, pair_batch(select_sources(sources, rows), [targets[row] for row in rows], device)
