"""Scores of captions of scenes: which objects they name, and whether the model looked at them.

A caption names objects in reading order: `a small red circle, a big blue star and a medium green cross`.
L: tokens of a caption; h, w: height and width of the grid of attention.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from s2s._version import __version__
from s2s.metrics.alignment import SPACE
from s2s.metrics.scores import Score

SIZES = ("small", "medium", "big")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "cyan")
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "star", "ring", "heart")
OBJECT = re.compile(rf"\b({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b")
PUNCTUATION = ",."  # may be tokens of their own, or the end of a word's token
Box = tuple[int, int, int, int]  # left, top, right and bottom in pixels; right and bottom are outside


class NamedObject(NamedTuple):
    """An object that a caption names."""

    size: str
    colour: str
    shape: str


@dataclass(frozen=True, slots=True)
class SceneScores:
    """Micro-averaged F1 of sequences of objects and of their parts, in percent."""

    objects: float  # size, colour and shape all right
    sizes: float
    colours: float
    shapes: float


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where attention was at the shape words of a caption, summed over these words."""

    words: int
    near: float  # shares of attention on the object's cells, widened by one cell on each side
    inside: float  # shares of attention on the object's cells


def named_objects(caption: str) -> list[NamedObject]:
    """Return the objects that a caption names, in order; skip what is no complete object."""
    return [NamedObject(*found) for found in OBJECT.findall(caption)]


def scene_f1(captions: Sequence[str], references: Sequence[str]) -> SceneScores:
    """Score the objects of N captions against those of their references.

    F1 = 2 Σ LCS / Σ (n_caption + n_reference): objects match in the order of a longest common subsequence.
    """
    pairs = [(named_objects(a), named_objects(b)) for a, b in zip(captions, references, strict=True)]

    def f1(part: slice) -> float:
        parts = [([one[part] for one in found], [one[part] for one in wanted]) for found, wanted in pairs]
        total = sum(len(found) + len(wanted) for found, wanted in parts)
        return 200 * sum(common_length(found, wanted) for found, wanted in parts) / max(total, 1)

    return SceneScores(objects=f1(slice(3)), sizes=f1(slice(0, 1)), colours=f1(slice(1, 2)), shapes=f1(slice(2, 3)))


def common_length(one: Sequence[object], other: Sequence[object]) -> int:
    """Return the length of the longest common subsequence of two sequences."""
    lengths = [0] * (len(other) + 1)
    for item in one:
        before = lengths
        lengths = [0]
        for (diagonal, above), candidate in zip(pairwise(before), other, strict=True):
            lengths.append(diagonal + 1 if item == candidate else max(above, lengths[-1]))
    return lengths[-1]


def pointing(
    attention: NDArray[np.floating],
    tokens: Sequence[str],
    boxes: Sequence[Box],
    grid: tuple[int, int],
    size: tuple[int, int],
) -> Pointing:
    """Return where attention [L, h · w] was at the shape words of a caption of L tokens.

    The k-th shape word is compared to the k-th of the `boxes`, which are those of the reference's objects in order.
    Shape words beyond the boxes count as words with a share of 0. A word of several tokens has the mean of their
    attention. `size`: height and width of the picture in pixels.
    """
    words = _shape_words(tokens)
    near = inside = 0.0
    for positions, box in zip(words, boxes, strict=False):
        weights = attention[positions].mean(0).reshape(grid)
        near += float(weights[_cells(box, grid, size, margin=1)].sum())
        inside += float(weights[_cells(box, grid, size, margin=0)].sum())
    return Pointing(len(words), near, inside)


def pointing_scores(found: Sequence[Pointing]) -> dict[str, Score]:
    """Return the shares of attention near and on the objects over all captions, in percent."""
    words = max(1, sum(one.words for one in found))

    def score(part: str, margin: int, total: float) -> Score:
        signature = f"pointing|unit:shape-word|margin:{margin}|average:micro|version:s2s-{__version__}"
        return Score(f"pointing_{part}", 100 * total / words, signature)

    return {
        "pointing_near": score("near", 1, sum(one.near for one in found)),
        "pointing_inside": score("inside", 0, sum(one.inside for one in found)),
    }


def _shape_words(tokens: Sequence[str]) -> list[list[int]]:
    """Return the positions of the tokens of each shape word.

    Tokens that are only punctuation, and `</s>`, belong to no word: attention there has already left the object.
    """
    words: list[list[int]] = []
    for position, token in enumerate(tokens):
        if token.startswith(SPACE) or not words:
            words.append([])
        if token != "</s>" and token.strip(PUNCTUATION):
            words[-1].append(position)
    return [word for word in words if _spelled(tokens, word) in SHAPES]


def _spelled(tokens: Sequence[str], positions: Sequence[int]) -> str:
    return "".join(tokens[position] for position in positions).removeprefix(SPACE).rstrip(PUNCTUATION)


def _cells(box: Box, grid: tuple[int, int], size: tuple[int, int], *, margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of the grid that a box overlaps, widened by `margin` cells on each side."""
    left, top, right, bottom = box
    rows = _overlap(top, bottom, size[0] / grid[0], margin)
    return rows, _overlap(left, right, size[1] / grid[1], margin)


def _overlap(start: int, end: int, cell: float, margin: int) -> slice:
    """Return the cells of a length that the pixels from `start` to before `end` overlap."""
    return slice(max(0, int(start / cell) - margin), int(np.ceil(end / cell)) + margin)
