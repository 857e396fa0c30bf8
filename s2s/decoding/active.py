"""Active hypotheses: those that beam search or sampling still extends.

B sentences still decoded, K hypotheses per sentence, S source positions, L tokens so far, N hypotheses extracted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from s2s.decoding.engine import Hypothesis
from s2s.models.interface import BOS, TokenInput


@dataclass(slots=True)
class ActiveHypotheses:
    """K unfinished hypotheses of each sentence still decoded."""

    sentences: Tensor  # [B], index of each sentence in the batch
    scores: Tensor  # [B, K], sums of log-probabilities
    tokens: Tensor  # [B, K, L + 1], BOS first
    attention: Tensor | None  # [B, K, L, S]; None if not needed or not available

    @classmethod
    def initial(cls, source: TokenInput, count: int, need_attention: bool) -> Self:
        """Return K = `count` empty hypotheses of each sentence."""
        (B, S), K, device = source.ids.shape, count, source.ids.device
        return cls(
            sentences=torch.arange(B, device=device),
            scores=torch.zeros(B, K, device=device),
            tokens=torch.full((B, K, 1), BOS, device=device),
            attention=torch.zeros(B, K, 0, S, device=device) if need_attention else None,
        )

    @property
    def length(self) -> int:
        """L."""
        return self.tokens.shape[2] - 1

    def select(self, rows: Tensor, columns: Tensor) -> None:
        """Keep sentences `rows` [B'] and of each the hypotheses `columns` [B', K']."""
        row_index = rows.unsqueeze(1)
        self.sentences = self.sentences[rows]
        self.scores = self.scores[row_index, columns]
        self.tokens = self.tokens[row_index, columns]
        self.attention = None if self.attention is None else self.attention[row_index, columns]

    def append(self, tokens: Tensor, attention: Tensor | None) -> None:
        """Append one token [B, K] to each hypothesis, with its attention [B, K, S]."""
        self.tokens = torch.cat((self.tokens, tokens.unsqueeze(2)), dim=2)
        if self.attention is not None:
            self.attention = None if attention is None else torch.cat((self.attention, attention.unsqueeze(2)), dim=2)

    def extract(self, mask: Tensor, length_penalty: float) -> Iterator[tuple[int, int, Hypothesis]]:
        """Yield sentence index, column and hypothesis wherever `mask` [B, K'] is True, with K' at most K."""
        rows, columns = mask.nonzero(as_tuple=True)
        extracted = zip(
            self.sentences[rows].tolist(),
            columns.tolist(),
            self.tokens[rows, columns, 1:].tolist(),
            self.scores[rows, columns].tolist(),
            strict=True,
        )
        attention = None if self.attention is None else self.attention[rows, columns].cpu().numpy()  # [N, L, S]
        for index, (sentence, column, tokens, score) in enumerate(extracted):
            own_attention = None if attention is None else attention[index]
            yield sentence, column, Hypothesis.from_tokens(tokens, score, length_penalty, own_attention)
