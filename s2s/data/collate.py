"""Collate sentences and images into tensors; sentences are padded.

B sentences in a batch, S source positions, T target positions, R target tokens without padding.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from s2s.data.sources import Image, Sentences, Sources
from s2s.models.interface import Batch, ImageInput, Source, TokenInput
from s2s.text.tokenizer import BOS, EOS, PAD


def padded(sentences: Sentences, *, first: int | None = None, last: int | None = None) -> Tensor:
    """Return token ids as one tensor [B, longest], padded with PAD; add `first` and `last` to each sentence if set."""
    before, after = int(first is not None), int(last is not None)
    table = np.full((len(sentences), max(map(len, sentences)) + before + after), PAD, dtype=np.int64)
    for row, sentence in zip(table, sentences, strict=True):
        row[before : before + len(sentence)] = np.asarray(sentence)
        if last is not None:
            row[before + len(sentence)] = last
    if first is not None:
        table[:, 0] = first
    return torch.from_numpy(table)


def source_batch(sources: Sources, device: torch.device) -> Source:
    """Return encoder input: [B, S], each sentence's tokens, followed by EOS, or images [B, 3, height, width]."""
    if isinstance(sources[0], Image):
        pixels = np.stack([cast(Image, image).pixels for image in sources])
        return ImageInput(_copied(torch.from_numpy(pixels), device).permute(0, 3, 1, 2))
    sentences = cast(Sentences, sources)
    lengths = torch.tensor([len(sentence) + 1 for sentence in sentences])
    return TokenInput(ids=_copied(padded(sentences, last=EOS), device), lengths=_copied(lengths, device))


def pair_batch(sources: Sources, targets: Sentences, device: torch.device) -> Batch:
    """Return sources, [B, S] or images, and targets [B, T] for teacher forcing."""
    labels = padded(targets, last=EOS)
    return Batch(
        source=source_batch(sources, device),
        inputs=_copied(padded(targets, first=BOS), device),
        labels=_copied(labels, device),
        real=_copied(real_positions(labels), device),
    )


def real_positions(labels: Tensor) -> Tensor:
    """Return the indices [R] of the labels [B, T] that are not padding."""
    return (labels != PAD).flatten().nonzero().squeeze(1)


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device; to a GPU from pinned memory, so that the host does not wait."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
