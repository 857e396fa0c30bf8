"""The scenes task: pictures of coloured shapes, to be described in reading order.

One to nine objects stand in different cells of a 3 × 3 grid, each moved within its cell. The source is a description
from which the picture is drawn: size, colour and shape of each object, and its box, whose right and bottom are outside:

    small red circle 5 3 14 12; big blue star 43 21 61 39        a small red circle and a big blue star

Eight combinations of a colour and a shape occur only in the test set, in every fifth of its scenes. Only integers are
drawn at random, so that a seed gives the same scenes on every machine.
"""

from dataclasses import dataclass
from math import cos, pi, sin
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s.errors import UsageError
from s2s.metrics.scenes import COLOURS, SHAPES, SIZES, Box
from s2s.recipe.image_size import SCENE_SIZE
from s2s.recipe.kinds import GeneratorOptions
from s2s.report.format import counted
from s2s.text.lines import Texts

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

CELL = 21  # pixels: the side of a cell
SIDES = dict(zip(SIZES, (9, 13, 18), strict=True))  # of a box, in pixels
UNSEEN = frozenset(zip(COLOURS, SHAPES[3:] + SHAPES[:3], strict=True))  # combinations that only the test set has
UNSEEN_EVERY = 5
TRIES = 1000  # scenes drawn in a row that are all known already before the search for a new one ends
SCALE = 4  # pictures are drawn this many times as large, and scaled down
PAPER = (245, 245, 245)
RGB = dict(
    zip(
        COLOURS,
        [
            (220, 40, 40), (40, 160, 60), (45, 80, 220), (240, 205, 20),
            (245, 130, 20), (140, 50, 190), (30, 30, 30), (30, 190, 210),
        ],
        strict=True,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object of a scene."""

    size: str
    colour: str
    shape: str
    box: Box

    @property
    def unseen(self) -> bool:
        """Whether its colour and shape occur together only in the test set."""
        return (self.colour, self.shape) in UNSEEN

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.shape} {' '.join(map(str, self.box))}"


def scenes_pairs(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return the pairs of `train`, `validation` and `test`, without repeated scenes.

    Scenes of the test set have equally many of each number of objects, others a random number.
    Raises: UsageError if there are too few different scenes.
    """
    random, seen = Random(options.seed), set[str]()
    counts = range(options.min_items, options.max_items + 1)
    return {
        "train": [_new(random, random.choice(counts), False, seen) for _ in range(options.train)],
        "validation": [_new(random, random.choice(counts), False, seen) for _ in range(options.validation)],
        "test": [
            _new(random, counts[index // UNSEEN_EVERY % len(counts)], index % UNSEEN_EVERY == 0, seen)
            for index in range(options.test)
        ],
    }


def parse_scene(description: str) -> list[SceneObject]:
    """Return the objects of a description, in reading order."""
    objects = []
    for part in description.split("; "):
        size, colour, shape, *box = part.split(" ")
        left, top, right, bottom = map(int, box)
        objects.append(SceneObject(size, colour, shape, (left, top, right, bottom)))
    return objects


def has_unseen(description: str) -> bool:
    """Return whether a scene has a combination of colour and shape that only the test set has."""
    return any(one.unseen for one in parse_scene(description))


def draw_scene(description: str) -> NDArray[np.uint8]:
    """Draw a scene as a picture [height, width, 3]."""
    from PIL import Image, ImageDraw

    height, width, _ = SCENE_SIZE.shape
    picture = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(picture)
    for one in parse_scene(description):
        _draw_object(draw, one)
    return np.array(picture.reduce(SCALE))  # a copy, which can be written to


def _new(random: Random, count: int, unseen: bool, seen: set[str]) -> Texts:
    """Draw a scene that was not drawn before. Raises UsageError if hardly any is left."""
    for _ in range(TRIES):
        objects = _objects(random, count, unseen)
        description = "; ".join(map(str, objects))
        if description not in seen:
            seen.add(description)
            return description, _caption(objects)
    raise UsageError(
        f"there are not enough different scenes of {counted(count, 'object')}", "make fewer pairs, or raise min_items"
    )


def _objects(random: Random, count: int, unseen: bool) -> list[SceneObject]:
    """Draw the objects of a scene; with `unseen`, one of them is of a combination that only the test set has."""
    special = random.randrange(count) if unseen else None
    objects = []
    for number, cell in enumerate(sorted(random.sample(range(9), count))):
        row, column = divmod(cell, 3)
        size = random.choice(SIZES)
        colour, shape = _combination(random, unseen=number == special)
        side = SIDES[size]
        left = CELL * column + random.randrange(CELL - side + 1)
        top = CELL * row + random.randrange(CELL - side + 1)
        objects.append(SceneObject(size, colour, shape, (left, top, left + side, top + side)))
    return objects


def _combination(random: Random, *, unseen: bool) -> tuple[str, str]:
    """Draw a colour and a shape by rejection."""
    while True:
        combination = random.choice(COLOURS), random.choice(SHAPES)
        if (combination in UNSEEN) == unseen:
            return combination


def _caption(objects: list[SceneObject]) -> str:
    named = [f"a {one.size} {one.colour} {one.shape}" for one in objects]
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _draw_object(draw: "ImageDraw", one: SceneObject) -> None:
    """Draw an object so that it touches all sides of its box."""
    left, top, right, bottom = (SCALE * value for value in one.box)
    colour, box = RGB[one.colour], (left, top, right - 1, bottom - 1)
    side = right - left
    if one.shape == "circle":
        draw.ellipse(box, fill=colour)
    elif one.shape == "square":
        draw.rectangle(box, fill=colour)
    elif one.shape == "ring":
        draw.ellipse(box, outline=colour, width=side // 4)
    else:
        outline = OUTLINES[one.shape]
        draw.polygon([(left + x * (side - 1), top + y * (side - 1)) for x, y in outline], fill=colour)


def _star() -> list[tuple[float, float]]:
    """Return a star of five points, stretched to the unit square."""
    radii = [0.5, 0.2] * 5
    points = [(radius * sin(pi * k / 5), -radius * cos(pi * k / 5)) for k, radius in enumerate(radii)]
    return _stretched(points)


def _heart() -> list[tuple[float, float]]:
    """Return a heart, stretched to the unit square."""
    turns = [2 * pi * k / 40 for k in range(40)]
    return _stretched(
        [(16 * sin(t) ** 3, -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t))) for t in turns]
    )


def _stretched(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move and stretch points so that they touch all sides of the unit square."""
    lows, highs = (
        [min(values) for values in zip(*points, strict=True)],
        [max(values) for values in zip(*points, strict=True)],
    )
    return [((x - lows[0]) / (highs[0] - lows[0]), (y - lows[1]) / (highs[1] - lows[1])) for x, y in points]


OUTLINES: dict[str, list[tuple[float, float]]] = {  # in the unit square
    "triangle": [(0.5, 0), (1, 1), (0, 1)],
    "diamond": [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)],
    "cross": [
        (1 / 3, 0), (2 / 3, 0), (2 / 3, 1 / 3), (1, 1 / 3), (1, 2 / 3), (2 / 3, 2 / 3),
        (2 / 3, 1), (1 / 3, 1), (1 / 3, 2 / 3), (0, 2 / 3), (0, 1 / 3), (1 / 3, 1 / 3),
    ],
    "star": _star(),
    "heart": _heart(),
}  # fmt: skip
