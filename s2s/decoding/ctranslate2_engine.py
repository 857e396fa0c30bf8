"""The CTranslate2 engine: Transformers in int8 or fp32, several times as fast as PyTorch. Free of torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.decoding.hypothesis import Answer, Hypothesis, Request
from s2s.devices.runtime import usable_threads
from s2s.text.tokenizer import BOS, PAD, UNK, Tokenizer


class CTranslateEngine:
    """Searches with a converted model, in batches of sentences of like length, as many at once as there are threads."""

    def __init__(self, directory: Path, tokenizer: Tokenizer, device: str, precision: str, compute_type: str) -> None:
        """`directory`: the converted model; `device`: `cpu`, `cuda:1`; `compute_type`: as CTranslate2 calls it."""
        import ctranslate2

        kind, _, index = device.partition(":")
        self.precision = precision
        self._translator: Any = ctranslate2.Translator(
            str(directory),
            device=kind,
            device_index=int(index or 0),
            compute_type=compute_type,
            inter_threads=usable_threads() if kind == "cpu" else 1,
            intra_threads=1,
            max_queued_batches=2 * usable_threads(),  # whoever is interrupted waits for what has begun
        )
        self._tokens = tokenizer.tokens(range(tokenizer.size))
        self._ids = {token: number for number, token in enumerate(self._tokens)}

    def begin(self, request: Request) -> Answer:
        """Start the search at once, in CTranslate2's own threads."""
        groups = list(request.batches())
        if (
            request.need_attention and request.options.beam_size > 1
        ):  # in a batch, the first row is that of another sentence
            groups = [[row] for rows in groups for row in rows]
        batches = [(rows, self._begun(request, rows)) for rows in groups]

        def answer() -> list[list[Hypothesis]]:
            found = {row: result for rows, results in batches for row, result in zip(rows, results, strict=True)}
            return [
                self._hypotheses(self._within(found[row].result(), request, row), request) for row in range(len(found))
            ]

        return answer

    def _within(self, result: Any, request: Request, row: int) -> Any:
        """Return the result, or that of a new search if it exceeds its sentence's own length limit.

        A batch has one limit, that of its longest sentence.
        """
        most = request.options.max_length(len(request.sentences[row]))
        if all(len(tokens) <= most for tokens in result.hypotheses):
            return result
        (alone,) = self._begun(request, [row])
        return alone.result()

    def describe(self) -> str:
        """`CTranslate2, int8`."""
        return f"CTranslate2, {self.precision}"

    def _begun(self, request: Request, rows: Sequence[int]) -> list[Any]:
        """Start a batch and return its asynchronous results."""
        options, tokens = request.options, self._tokens
        return self._translator.translate_batch(
            [[tokens[token] for token in request.sentences[row]] for row in rows],
            beam_size=options.beam_size,
            patience=options.patience,
            num_hypotheses=request.nbest,
            length_penalty=options.length_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram,
            suppress_sequences=[[tokens[never]] for never in (PAD, UNK, BOS)],
            max_decoding_length=max(options.max_length(len(request.sentences[row])) for row in rows),
            min_decoding_length=0,
            max_input_length=0,
            return_end_token=True,  # counted in the length, and told from a cut
            return_scores=True,
            return_attention=request.need_attention,
            asynchronous=True,
        )

    def _hypotheses(self, result: Any, request: Request) -> list[Hypothesis]:
        alpha, found = request.options.length_penalty, []
        for index, (tokens, score) in enumerate(zip(result.hypotheses, result.scores, strict=True)):
            written, weights = [self._ids[token] for token in tokens], None
            if request.need_attention:
                weights = _with_eos(np.array(result.attention[index], dtype=np.float32))
            found.append(Hypothesis.of(written, score * len(written) ** alpha, alpha, weights))
        return found


def _with_eos(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights [L, S] from those [L, S − 1] without the column of the source's EOS, each row of which sums to 1."""
    return np.column_stack((weights, np.clip(1 - weights.sum(1), 0, 1)))
