"""Active hypotheses: those that beam search or sampling still extends.

B sentences still decoded, K hypotheses per sentence, S source positions, L tokens so far, N hypotheses that ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from s2s.decoding.engine import Hypothesis
from s2s.models.interface import BOS


@dataclass(slots=True)
class ActiveHypotheses:
    """K unfinished hypotheses of each sentence still decoded."""

    sentences: Tensor  # [B], index of each sentence in the batch
    scores: Tensor  # [B, K], sums of log-probabilities
    tokens: Tensor  # [B, K, L + 1], BOS first
    need_attention: bool
    attention: Tensor | None = None  # [B, K, L, S]; None before the first token, if not needed or not available

    @classmethod
    def initial(cls, sentences: int, count: int, device: torch.device, need_attention: bool) -> Self:
        """Return K = `count` empty hypotheses of each of B sentences."""
        B, K = sentences, count
        return cls(
            sentences=torch.arange(B, device=device),
            scores=torch.zeros(B, K, device=device),
            tokens=torch.full((B, K, 1), BOS, device=device),
            need_attention=need_attention,
        )

    @property
    def length(self) -> int:
        """L."""
        return self.tokens.shape[2] - 1

    def select(self, rows: Tensor | None, columns: Tensor) -> None:
        """Keep sentences `rows` [B'], or all if None, and of each the hypotheses `columns` [B', K']."""
        if rows is None:
            rows = torch.arange(len(self.sentences), device=columns.device)
        else:
            self.sentences = self.sentences[rows]
        row_index = rows.unsqueeze(1)
        self.scores = self.scores[row_index, columns]
        self.tokens = self.tokens[row_index, columns]
        self.attention = None if self.attention is None else self.attention[row_index, columns]

    def append(self, tokens: Tensor, attention: Tensor | None) -> None:
        """Append one token [B, K] to each hypothesis, with its attention [B, K, S]."""
        self.tokens = torch.cat((self.tokens, tokens.unsqueeze(2)), dim=2)
        if self.need_attention and attention is not None:
            new = attention.unsqueeze(2)
            self.attention = new if self.attention is None else torch.cat((self.attention, new), dim=2)

    def ended(self, mask: Tensor, best: Tensor) -> "Ended":
        """Return the hypotheses that end now, where `mask` [B, K'] is True, with K' at most K.

        `best` [B]: the best score of the hypotheses that are extended.
        """
        K = mask.shape[1]
        attention = None if self.attention is None else self.attention[:, :K]
        return Ended(mask, self.scores[:, :K], best, self.tokens[:, :K, 1:], attention)


@dataclass(frozen=True, slots=True)
class Ended:
    """Hypotheses that end in one step, on the device."""

    mask: Tensor  # [B, K], True where one ends
    scores: Tensor  # [B, K], sums of log-probabilities
    best: Tensor  # [B], the best score of the hypotheses that are extended
    tokens: Tensor  # [B, K, L]
    attention: Tensor | None  # [B, K, L, S]


@dataclass(frozen=True, slots=True)
class EndedFigures:
    """Which hypotheses end in one step, on the host."""

    columns: list[list[int]]  # of each sentence
    scores: NDArray[np.floating]  # [B, K]
    best: list[float]  # [B]
    length: int  # L


def read_figures(steps: Sequence[Ended]) -> list[EndedFigures]:
    """Copy which hypotheses ended in several steps to the host, at once."""
    packed = [torch.cat((step.mask, step.scores, step.best.unsqueeze(1)), 1) for step in steps]
    table = (torch.cat(packed, 1) if len(packed) > 1 else packed[0]).cpu().numpy()
    figures, start = [], 0
    for step in steps:
        K = step.mask.shape[1]
        scores = start + K
        mask, best = table[:, start:scores], table[:, scores + K].tolist()
        columns: list[list[int]] = [[] for _ in best]
        if mask.any():
            for row, column in zip(*(indices.tolist() for indices in mask.nonzero()), strict=True):
                columns[row].append(column)
        figures.append(EndedFigures(columns, table[:, scores : scores + K], best, step.tokens.shape[2]))
        start = scores + K + 1
    return figures


def read_hypotheses(
    steps: Sequence[Ended], chosen: Sequence[tuple[int, int, int]], figures: Sequence[EndedFigures], penalty: float
) -> Iterator[Hypothesis]:
    """Yield the `chosen` hypotheses, given as step, row and column in the order of steps, with the length penalty α."""
    if not chosen:
        return
    longest, tokens, attentions = max(figure.length for figure in figures), [], []
    for number, group in groupby(chosen, key=lambda one: one[0]):
        rows, columns = (list(indices) for indices in list(zip(*group, strict=True))[1:])
        step = steps[number]
        tokens.append(F.pad(step.tokens[rows, columns], (0, longest - figures[number].length)))
        if step.attention is not None:
            attentions += list(step.attention[rows, columns].float().cpu().numpy())  # bf16 has no type in numpy
    for index, ((number, row, column), padded) in enumerate(zip(chosen, torch.cat(tokens).tolist(), strict=True)):
        figure = figures[number]
        attention = attentions[index] if attentions else None
        score = float(figure.scores[row, column])
        yield Hypothesis.from_tokens(padded[: figure.length], score, penalty, attention)
