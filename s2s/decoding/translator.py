"""The translator: a model and its tokenizer, raw lines in, raw lines out, in order.

B sentences in a batch, S source positions, L pieces of a translation.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from s2s.data.batches import cut_batches, source_batch
from s2s.decoding.conversion import LONGEST
from s2s.decoding.search import Hypothesis, beam_search
from s2s.errors import ArtefactError, UsageError
from s2s.models.families import build_model
from s2s.models.interface import Model
from s2s.recipe.loading import parse_recipe
from s2s.recipe.schema import DecodingOptions, Recipe
from s2s.registry.version import Version
from s2s.text.lines import normalize, single_line
from s2s.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated line: its text, its score, whether it was cut at the length limit or its source was split, and,
    where asked for, attention weights [L, S] with the pieces of both sides.
    """

    text: str
    score: float = 0.0
    cut: bool = False
    split: bool = False
    source_pieces: tuple[str, ...] = ()
    target_pieces: tuple[str, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {"text": self.text, "score": self.score, "cut": self.cut, "split": self.split} | self.attention()

    def attention(self) -> dict[str, Any]:
        """Pieces and weights, where they were asked for."""
        if not self.weights:
            return {}
        return {"source": self.source_pieces, "target": self.target_pieces, "weights": self.weights}


class Translator:
    """Translates raw lines with a model: normalises, tokenises, searches, puts text together again."""

    def __init__(self, model: Model, tokenizer: Tokenizer, recipe: Recipe, device: torch.device) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.device = device

    @classmethod
    def load(cls, version: Version, device: torch.device) -> Self:
        """The translator of a published model. Raises ArtefactError where its files do not fit together."""
        recipe = parse_recipe(json.loads(version.read("recipe.json")), f"recipe of {version.reference}")
        tokenizer = Tokenizer(version.read("tokenizer.model"))
        model = build_model(recipe.model, tokenizer.size)
        try:
            model.load_weights(load_tensors(version.read("weights.safetensors")))
        except (ValueError, SafetensorError) as error:
            raise ArtefactError(
                f"model {version.reference}: weights and recipe do not fit together: {error}"
            ) from error
        return cls(model.to(device).eval(), tokenizer, recipe, device)

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """The pieces of raw lines."""
        form = self.recipe.data.normalization
        return self.tokenizer.encode([normalize(line, form) for line in lines])

    def translate(
        self, lines: Sequence[str], options: DecodingOptions | None = None, *, weights: bool = False
    ) -> list[Translation]:
        """Each line's best translation, in order; a blank line's is empty and does not run the model."""
        options = options or self.recipe.decoding
        longest = max(LONGEST, self.recipe.data.max_length)
        parts = [
            (number, part) for number, pieces in enumerate(self._pieces(lines)) for part in _split(pieces, longest)
        ]
        hypotheses = self._search([part for _, part in parts], options, weights)
        answers: list[list[tuple[list[int], Hypothesis]]] = [[] for _ in lines]
        for (number, part), hypothesis in zip(parts, hypotheses, strict=True):
            answers[number].append((part, hypothesis))
        return [self._joined(answer, weights) for answer in answers]

    def _pieces(self, lines: Sequence[str]) -> list[list[int]]:
        """The pieces of each line, none for a blank one."""
        return [[] if not line.strip() else pieces for line, pieces in zip(lines, self.encode(lines), strict=True)]

    @torch.inference_mode()
    def _search(self, sentences: list[list[int]], options: DecodingOptions, weights: bool) -> list[Hypothesis]:
        """The best hypothesis of each sentence; searched in batches of like length, the longest first."""
        best: dict[int, Hypothesis] = {}
        for rows in self._batches(sentences, options):
            batch = [sentences[row] for row in rows]
            limits = [int(options.max_ratio * len(sentence)) + 10 for sentence in batch]
            found = beam_search(
                self.model,
                source_batch(batch, self.device),
                beam=options.beam,
                length_penalty=options.length_penalty,
                max_lengths=limits,
                weights=weights,
            )
            best.update(zip(rows.tolist(), (hypotheses[0] for hypotheses in found), strict=True))
        return [best[row] for row in range(len(sentences))]

    def _batches(self, sentences: list[list[int]], options: DecodingOptions) -> Iterator[np.ndarray[Any, Any]]:
        lengths = np.array([len(sentence) + 1 for sentence in sentences], dtype=np.int64)
        order = (-lengths).argsort(kind="stable")
        return iter(cut_batches(lengths[order], order, max(1, options.batch_tokens // options.beam)))

    def _joined(self, parts: list[tuple[list[int], Hypothesis]], weights: bool) -> Translation:
        """One line's translation from those of its parts."""
        if not parts:
            return Translation("")
        text = " ".join(self.tokenizer.decode([hypothesis.pieces for _, hypothesis in parts]))
        translation = Translation(
            text=single_line(text),
            score=sum(hypothesis.score for _, hypothesis in parts) / len(parts),
            cut=any(hypothesis.cut for _, hypothesis in parts),
            split=len(parts) > 1,
        )
        return self._with_weights(translation, *parts[0]) if weights and len(parts) == 1 else translation

    def _with_weights(self, translation: Translation, source: list[int], hypothesis: Hypothesis) -> Translation:
        if hypothesis.weights is None or not hypothesis.weights.numel():
            return translation
        target = [*self.tokenizer.pieces(hypothesis.pieces), *([] if hypothesis.cut else ["</s>"])]
        rows = hypothesis.weights[:, : len(source) + 1].tolist()
        return Translation(
            translation.text,
            translation.score,
            translation.cut,
            source_pieces=(*self.tokenizer.pieces(source), "</s>"),
            target_pieces=tuple(target),
            weights=tuple(tuple(round(weight, 6) for weight in row) for row in rows),
        )


def _split(pieces: list[int], longest: int) -> list[list[int]]:
    """An over-long sentence in parts of nearly equal length."""
    count = -(-len(pieces) // longest)
    bounds = [len(pieces) * index // max(count, 1) for index in range(count + 1)]
    return [pieces[a:b] for a, b in pairwise(bounds)]


def require_attention(recipe: Recipe) -> None:
    """Raise UsageError where a model has no attention to show."""
    if not recipe.model.attends:
        raise UsageError(
            f"model {recipe.name} has no attention to show: {recipe.model.in_words()}",
            'train a recipe with model.decoder.context = "attention"',
        )
