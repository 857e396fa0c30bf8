"""Constraints on translations: suppressed tokens, lengths, a forced prefix, no repeated n-gram.

B sentences of the batch, B' those still decoded, K hypotheses per sentence, V vocabulary size, L tokens so far,
P prefix tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from s2s.decoding.engine import DecodingInput
from s2s.models.interface import EOS, PAD

SUPPRESSED = slice(0, EOS)  # PAD, UNK and BOS, which no translation contains


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the translations of a batch must satisfy."""

    max_length: Tensor  # [B] tokens, EOS included
    min_length: Tensor  # [B] tokens, EOS excluded
    largest_min_length: int  # the largest of them, without asking the device
    prefix: Tensor  # [B, P] first tokens, padded with PAD
    no_repeat_ngram: int = 0  # size of n-grams that may not repeat within a translation; 0 disables it

    @classmethod
    def of(cls, sentences: Sequence[DecodingInput], no_repeat_ngram: int, device: torch.device) -> Self:
        """Return the constraints of a batch of sentences."""
        min_length = [sentence.min_length for sentence in sentences]
        prefix = torch.full((len(sentences), max(len(sentence.prefix) for sentence in sentences)), PAD)
        for row, sentence in enumerate(sentences):
            prefix[row, : len(sentence.prefix)] = torch.tensor(sentence.prefix, dtype=torch.long)
        return cls(
            max_length=torch.tensor([sentence.max_length for sentence in sentences], device=device),
            min_length=torch.tensor(min_length, device=device),
            largest_min_length=max(min_length),
            prefix=prefix.to(device),
            no_repeat_ngram=no_repeat_ngram,
        )

    def mask(self, logits: Tensor, sentences: Tensor, tokens: Tensor) -> None:
        """Set logits [B', K, V] of forbidden next tokens to −∞, in place.

        `sentences` [B'] are indices into the batch, `tokens` [B', K, L + 1] the tokens so far, BOS first. Within a
        prefix only its next token remains, which overrides the other constraints. If no token would remain, EOS does.
        """
        length = tokens.shape[2] - 1
        logits[..., SUPPRESSED] = -torch.inf
        if length < self.largest_min_length:
            logits[..., EOS].masked_fill_((self.min_length[sentences] > length).unsqueeze(1), -torch.inf)
        if 0 < self.no_repeat_ngram <= length:
            self._mask_repeated_ngrams(logits, tokens[:, :, 1:])
        if length < self.prefix.shape[1]:
            self._force_prefix(logits, self.prefix[sentences, length])

    def _mask_repeated_ngrams(self, logits: Tensor, tokens: Tensor) -> None:
        """Mask tokens that would repeat an n-gram of the tokens so far [B', K, L]."""
        n = self.no_repeat_ngram
        ngrams = tokens.unfold(2, n, 1)  # [B', K, L − n + 1, n]
        last_tokens = tokens[:, :, tokens.shape[2] - n + 1 :].unsqueeze(2)
        repeats = (ngrams[..., : n - 1] == last_tokens).all(-1)
        banned = ngrams[..., -1].masked_fill(~repeats, 0)  # PAD, which is masked anyway
        logits.scatter_(2, banned, -torch.inf)
        all_masked = logits.amax(2) == -torch.inf
        logits[..., EOS].masked_fill_(all_masked, 0.0)

    def _force_prefix(self, logits: Tensor, next_tokens: Tensor) -> None:
        """Leave only the next prefix token [B'] of each sentence; PAD means that the prefix has ended."""
        rows = (next_tokens != PAD).nonzero().squeeze(1)
        logits[rows] = -torch.inf
        logits[rows, :, next_tokens[rows]] = 0.0
