"""What translations must hold to: tokens that none contains, lengths, a given prefix, no n-gram twice.

B sentences still searched, K hypotheses of each, V vocabulary, L tokens written so far, P tokens of a prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from s2s.decoding.hypothesis import Request
from s2s.models.interface import EOS, PAD

NEVER = slice(0, EOS)  # PAD, UNK and BOS, which no translation contains


@dataclass(frozen=True, slots=True)
class Constraints:
    """Of each sentence of a batch: the most tokens [B] (EOS counted), the fewest [B] (EOS not counted), the prefix
    [B, P] with PAD behind it; of all: the n of the n-grams that may not come twice in a translation (0: any may).
    """

    max_length: Tensor
    min_length: Tensor
    prefix: Tensor
    ngram: int = 0

    @classmethod
    def of(cls, request: Request, rows: Sequence[int], device: torch.device) -> Self:
        """Those of the sentences `rows` of a request."""
        options, prefixes = request.options, [request.prefixes[row] if request.prefixes else [] for row in rows]
        lengths = [len(request.sentences[row]) for row in rows]
        prefix = torch.full((len(rows), max(map(len, prefixes))), PAD)
        for index, tokens in enumerate(prefixes):
            prefix[index, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
        most = [options.max_length(length) + len(tokens) for length, tokens in zip(lengths, prefixes, strict=True)]
        return cls(
            max_length=torch.tensor(most, device=device),
            min_length=torch.tensor([options.min_length(length) for length in lengths], device=device),
            prefix=prefix.to(device),
            ngram=options.no_repeat_ngram,
        )

    def mask(self, logits: Tensor, sentences: Tensor, tokens: Tensor) -> None:
        """Put −∞ at what may not be written next.

        Logits [B', K, V] of the sentences [B'], of which tokens [B', K, L + 1] are written, BOS before them. Of a
        prefix the next token alone is left, whatever else is asked for; where nothing would be left, EOS is.
        """
        written = tokens.shape[2] - 1
        logits[..., NEVER] = -torch.inf
        logits[..., EOS].masked_fill_((self.min_length[sentences] > written).unsqueeze(1), -torch.inf)
        if 0 < self.ngram <= written:
            self._mask_repetitions(logits, tokens[:, :, 1:])
        if written < self.prefix.shape[1]:
            self._keep_beginning(logits, self.prefix[sentences, written])

    def _mask_repetitions(self, logits: Tensor, written: Tensor) -> None:
        """Mask tokens that would end an n-gram which is among those written [B', K, L]."""
        n = self.ngram
        ngrams = written.unfold(2, n, 1)  # [B', K, L − n + 1, n]
        begun = written[:, :, written.shape[2] - n + 1 :].unsqueeze(2)
        again = (ngrams[..., : n - 1] == begun).all(-1)
        ends = ngrams[..., -1].masked_fill(~again, 0)  # PAD, which is masked anyway
        logits.scatter_(2, ends, -torch.inf)
        nothing = logits.amax(2) == -torch.inf
        logits[..., EOS].masked_fill_(nothing, 0.0)

    def _keep_beginning(self, logits: Tensor, following: Tensor) -> None:
        """Leave the token that follows [B'] in a prefix; PAD: the prefix is over."""
        rows = (following != PAD).nonzero().squeeze(1)
        logits[rows] = -torch.inf
        logits[rows, :, following[rows]] = 0.0
