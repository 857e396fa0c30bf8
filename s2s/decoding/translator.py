"""The translator: an engine and a tokenizer, raw lines in, raw lines out, in order. Free of torch.

S source positions, L tokens of a translation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2s.decoding.hypothesis import Engine, Hypothesis, Request, longest_source
from s2s.errors import UsageError
from s2s.recipe.decoding import DecodingOptions
from s2s.recipe.recipe import Recipe
from s2s.text.lines import normalize, single_line
from s2s.text.tokenizer import Tokenizer

Engine_co = TypeVar("Engine_co", bound=Engine, covariant=True)


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated line: its text, its score, its tokens (`</s>` last, unless it was cut at the length limit), whether
    it was cut or its source was split, how many tokens its source has and how many of those the tokenizer had no
    better ones for, and, where asked for, attention weights [L, S] with the source's tokens.
    """

    text: str
    score: float = 0.0
    tokens: tuple[str, ...] = ()
    cut: bool = False
    split: bool = False
    source_length: int = 0
    unknown: int = 0
    source_tokens: tuple[str, ...] = ()
    attention: tuple[tuple[float, ...], ...] = ()

    def _repr_html_(self) -> str:
        """Show the text in a notebook, with the attention heat map if there is one."""
        from html import escape

        from s2s.report.heatmap import svg_heatmap

        picture = svg_heatmap(self.attention, self.source_tokens, self.tokens) if self.attention else ""
        return f"<p>{escape(self.text)}</p>{picture}"


Translations = Callable[[], list[list[Translation]]]
_Part = tuple[list[int], list[tuple[Hypothesis, str]]]  # of a line: tokens, and what was found for them


class Translator(Generic[Engine_co]):
    """Translates raw lines: normalises, tokenises, searches, puts text together again."""

    def __init__(self, engine: Engine_co, tokenizer: Tokenizer, recipe: Recipe) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.recipe = recipe

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Return the token ids of raw lines."""
        form = self.recipe.data.normalization
        return self.tokenizer.encode([normalize(line, form) for line in lines])

    def translate(
        self, lines: Sequence[str], options: DecodingOptions | None = None, *, need_attention: bool = False
    ) -> list[Translation]:
        """Each line's best translation, in order; a blank line's is empty and does not run the model."""
        return [best for best, *_ in self.begin(lines, options, need_attention=need_attention)()]

    def begin(
        self,
        lines: Sequence[str],
        options: DecodingOptions | None = None,
        *,
        nbest: int = 1,
        need_attention: bool = False,
        prefixes: Sequence[str] = (),
        first: int = 0,
    ) -> Translations:
        """Begin to translate; what is returned waits for the end, and gives each line's `nbest` translations, or fewer.

        prefixes: text that each line's translations begin with; first: number of the first line, by which samples
        are told apart.
        """
        parts = self._parts(lines)
        heads = self.encode(prefixes) if prefixes else []
        answer = self.engine.begin(
            Request(
                sentences=[part for _, _, part in parts],
                options=options or self.recipe.decoding,
                nbest=nbest,
                need_attention=need_attention,
                prefixes=[heads[line] if index == 0 else [] for line, index, _ in parts] if heads else [],
                numbers=[(first + line, index) for line, index, _ in parts],
            )
        )

        def translations() -> list[list[Translation]]:
            answers: list[list[_Part]] = [[] for _ in lines]
            for (line, _, tokens), hypotheses in zip(parts, self._with_texts(answer()), strict=True):
                answers[line].append((tokens, hypotheses))
            return [self._ranked(answered) for answered in answers]

        return translations

    def _with_texts(self, answers: list[list[Hypothesis]]) -> list[list[tuple[Hypothesis, str]]]:
        """Hypotheses with their texts; decoded together, as a call costs more than most sentences do."""
        texts = iter(self.tokenizer.decode([hypothesis.tokens for found in answers for hypothesis in found]))
        return [[(hypothesis, next(texts)) for hypothesis in found] for found in answers]

    def _parts(self, lines: Sequence[str]) -> list[tuple[int, int, list[int]]]:
        """Tokenize all lines that are not blank, long ones in parts: (line, number of the part, tokens)."""
        longest = longest_source(self.recipe)
        return [
            (number, index, part)
            for number, (line, tokens) in enumerate(zip(lines, self.encode(lines), strict=True))
            if line.strip()
            for index, part in enumerate(_split(tokens, longest))
        ]

    def _ranked(self, parts: list[_Part]) -> list[Translation]:
        """One line's translations, the best first, from those of its parts."""
        if not parts:
            return [Translation("")]
        source = [token for tokens, _ in parts for token in tokens]
        count = max(len(found) for _, found in parts)
        return [self._joined(source, [found[min(rank, len(found) - 1)] for _, found in parts]) for rank in range(count)]

    def _joined(self, source: list[int], found: list[tuple[Hypothesis, str]]) -> Translation:
        """One translation from those of a line's parts."""
        shown = found[0][0].attention if len(found) == 1 else None
        return Translation(
            text=single_line(" ".join(text for _, text in found)),
            score=sum(hypothesis.score for hypothesis, _ in found) / len(found),
            tokens=tuple(token for hypothesis, _ in found for token in self._written(hypothesis)),
            cut=any(hypothesis.cut for hypothesis, _ in found),
            split=len(found) > 1,
            source_length=len(source),
            unknown=self.tokenizer.unknown(source),
            source_tokens=() if shown is None else (*self.tokenizer.tokens(source), "</s>"),
            attention=() if shown is None else _rounded(shown[:, : len(source) + 1]),
        )

    def _written(self, hypothesis: Hypothesis) -> list[str]:
        """Return the hypothesis's tokens as strings, `</s>` last unless it was truncated."""
        return [*self.tokenizer.tokens(hypothesis.tokens), *([] if hypothesis.cut else ["</s>"])]


def _rounded(weights: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(weight, 6) for weight in row) for row in weights.tolist())


def _split(tokens: list[int], longest: int) -> list[list[int]]:
    """Split a long sentence into parts of nearly equal length."""
    count = -(-len(tokens) // longest)
    bounds = [len(tokens) * index // max(count, 1) for index in range(count + 1)]
    return [tokens[a:b] for a, b in pairwise(bounds)]


def require_attention(recipe: Recipe) -> None:
    """Raise UsageError where a model has no attention to show."""
    if not recipe.model.has_attention:
        raise UsageError(
            f"model {recipe.name} has no attention to show: {recipe.model.describe()}",
            'train a recipe with model.decoder.context = "attention"',
        )
