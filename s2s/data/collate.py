"""Collate sentences into padded tensors.

B sentences, S source positions, T target positions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2s.models.interface import BOS, EOS, PAD, Batch, TokenInput

Sentences = Sequence[Sequence[int] | NDArray[np.int32]]  # of ids, without special ones


def padded(sentences: Sentences, device: torch.device, *, first: int | None = None, last: int | None = None) -> Tensor:
    """Sentences of ids as one tensor [B, longest], PAD behind; `first` and `last` are put before and after each."""
    before, after = int(first is not None), int(last is not None)
    table = np.full((len(sentences), max(map(len, sentences)) + before + after), PAD, dtype=np.int64)
    for row, sentence in zip(table, sentences, strict=True):
        row[before : before + len(sentence)] = np.asarray(sentence)
        if last is not None:
            row[before + len(sentence)] = last
    if first is not None:
        table[:, 0] = first
    return torch.from_numpy(table).to(device)


def source_batch(sentences: Sentences, device: torch.device) -> TokenInput:
    """What an encoder reads: each sentence's tokens and EOS."""
    lengths = torch.tensor([len(sentence) + 1 for sentence in sentences])
    return TokenInput(ids=padded(sentences, device, last=EOS), lengths=lengths.to(device))


def pair_batch(sources: Sentences, targets: Sentences, device: torch.device) -> Batch:
    """Sentence pairs for teacher forcing."""
    return Batch(
        source=source_batch(sources, device),
        inputs=padded(targets, device, first=BOS),
        labels=padded(targets, device, last=EOS),
    )
