"""The CTranslate2 engine: Transformers in int8 or fp32, several times as fast as PyTorch. Free of torch.

L tokens of a translation (EOS included), S source positions (EOS included).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from s2s.decoding.engine import Hypothesis, Request
from s2s.devices.runtime import usable_threads
from s2s.errors import ResourceError
from s2s.text.tokenizer import BOS, EOS, PAD, UNK, Tokenizer


class CTranslate2Engine:
    """Searches with a converted model, one batch per thread at a time."""

    def __init__(self, directory: Path, tokenizer: Tokenizer, device: str, precision: str, compute_type: str) -> None:
        """Load the converted model in `directory`; `compute_type` is CTranslate2's name for `precision`.

        Raises: ResourceError if CTranslate2 does not work on a GPU, such as without its version of cuBLAS.
        """
        import ctranslate2

        kind, _, index = device.partition(":")
        self.device = device
        self.precision = precision
        try:
            self._translator: Any = ctranslate2.Translator(
                str(directory),
                device=kind,
                device_index=int(index or 0),
                compute_type=compute_type,
                inter_threads=usable_threads() if kind == "cpu" else 1,
                intra_threads=1,
                max_queued_batches=2 * usable_threads(),  # an interrupt waits for batches that have started
            )
            if kind == "cuda":  # cuBLAS is loaded at the first matrix product
                self._translator.translate_batch([tokenizer.tokens([EOS])], beam_size=1, max_decoding_length=1)
        except RuntimeError as error:
            if kind == "cpu":
                raise
            raise ResourceError(f"CTranslate2 does not work on {device}: {error}", "--engine pytorch") from error
        self._tokens = tokenizer.tokens(range(tokenizer.size))
        self._ids = {token: index for index, token in enumerate(self._tokens)}

    def start(self, request: Request) -> "CTranslate2Search":
        """Start the search in CTranslate2's own threads."""
        batches = [part for rows in request.batches(self.device.partition(":")[0]) for part in _by_limit(request, rows)]
        if request.need_attention and request.options.beam_size > 1:
            # in a larger batch, CTranslate2 returns another sentence's attention for the first token
            batches = [[row] for rows in batches for row in rows]
        results: dict[int, Any] = {}
        for rows in batches:
            results.update(zip(rows, self.translate_batch(request, rows), strict=True))
        return CTranslate2Search(self, request, results)

    def describe(self) -> str:
        """Return `CTranslate2, int8`."""
        return f"CTranslate2, {self.precision}"

    def translate_batch(self, request: Request, rows: Sequence[int]) -> list[Any]:
        """Start a batch of sentences with one length limit and return the asynchronous result of each."""
        options, tokens = request.options, self._tokens
        inputs = [request.inputs[row] for row in rows]
        return self._translator.translate_batch(
            [[tokens[token] for token in cast(list[int], one.source)] for one in inputs],
            beam_size=options.beam_size,
            patience=options.patience,
            num_hypotheses=request.nbest,
            length_penalty=options.length_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram,
            suppress_sequences=[[tokens[token]] for token in (PAD, UNK, BOS)],
            max_decoding_length=inputs[0].max_length,
            min_decoding_length=0,
            max_input_length=0,
            return_end_token=True,  # counts towards the length; missing if truncated
            return_scores=True,
            return_attention=request.need_attention,
            asynchronous=True,
        )

    def hypotheses(self, result: Any, request: Request) -> list[Hypothesis]:
        """Convert the finished result of a sentence."""
        alpha, hypotheses = request.options.length_penalty, []
        for index, (tokens, score) in enumerate(zip(result.hypotheses, result.scores, strict=True)):
            attention = None
            if request.need_attention:
                attention = _with_eos(np.array(result.attention[index], dtype=np.float32))
            ids = [self._ids[token] for token in tokens]
            hypotheses.append(Hypothesis.from_tokens(ids, score * len(ids) ** alpha, alpha, attention))
        return hypotheses


@dataclass(frozen=True, slots=True)
class CTranslate2Search:
    """A search that runs in CTranslate2's threads."""

    engine: CTranslate2Engine
    request: Request
    pending: dict[int, Any]  # asynchronous result of each sentence, by index

    def result(self) -> list[list[Hypothesis]]:
        """Wait for the search and return the hypotheses of each sentence, best first."""
        rows = range(len(self.request.inputs))
        return [self.engine.hypotheses(self.pending[row].result(), self.request) for row in rows]


def _by_limit(request: Request, rows: list[int]) -> list[list[int]]:
    """Split a batch into sentences with the same length limit; CTranslate2 has one for a whole batch."""
    parts = defaultdict(list)
    for row in rows:
        parts[request.inputs[row].max_length].append(row)
    return list(parts.values())


def _with_eos(attention: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return attention [L, S] from attention [L, S − 1] that lacks the column of the source's EOS; rows sum to 1."""
    return np.column_stack((attention, np.clip(1 - attention.sum(1), 0, 1)))
