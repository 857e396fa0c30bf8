"""Scenes: pictures show what their descriptions say, captions name it in order, and splits share nothing."""

import hashlib
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from PIL import Image

from s2s.data.generators import scenes
from s2s.data.generators.scenes import (
    CELL,
    PAPER,
    RGB,
    SIDES,
    UNSEEN,
    SceneObject,
    draw_scene,
    has_unseen,
    parse_scene,
    scenes_pairs,
)
from s2s.errors import UsageError
from s2s.metrics.scenes import COLOURS, SHAPES, SIZES, named_objects, scene_f1
from s2s.recipe.image_size import SCENE_SIZE
from s2s.recipe.kinds import GeneratorOptions

OPTIONS = GeneratorOptions(name="scenes", seed=3, train=2000, validation=70, test=240, min_items=1, max_items=6)
PAIRS = scenes_pairs(OPTIONS)
SCENES = {name: [parse_scene(description) for description, _ in split] for name, split in PAIRS.items()}
Box = tuple[int, int, int, int]


def everything() -> list[list[SceneObject]]:
    return [scene for split in SCENES.values() for scene in split]


def apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_splits_have_their_sizes_and_share_no_scene() -> None:
    assert {name: len(split) for name, split in PAIRS.items()} == {"train": 2000, "validation": 70, "test": 240}
    assert len({description for split in PAIRS.values() for description, _ in split}) == 2310


def test_a_description_is_one_line_that_parses_back() -> None:
    for split in PAIRS.values():
        for description, _ in split:
            assert "\n" not in description
            assert "; ".join(map(str, parse_scene(description))) == description
    assert parse_scene("small red circle 5 3 14 12; big blue star 43 21 61 39") == [
        SceneObject("small", "red", "circle", (5, 3, 14, 12)),
        SceneObject("big", "blue", "star", (43, 21, 61, 39)),
    ]


def test_captions_name_the_objects_in_order() -> None:
    captions = [caption for split in PAIRS.values() for _, caption in split]
    for objects, caption in zip(everything(), captions, strict=True):
        named = [f"a {one.size} {one.colour} {one.shape}" for one in objects]
        assert caption == (f"{', '.join(named[:-1])} and {named[-1]}" if named[1:] else named[0])
        assert named_objects(caption) == [(one.size, one.colour, one.shape) for one in objects]
    assert scene_f1(captions, captions).objects == 100


def test_objects_stand_in_reading_order_in_different_cells() -> None:
    for objects in everything():
        cells = [(top // CELL * 3 + left // CELL) for left, top, _, _ in (one.box for one in objects)]
        assert all(before < after for before, after in pairwise(cells))
        assert all(apart(one.box, other.box) for one, other in combinations(objects, 2))


def test_boxes_are_squares_of_their_size_within_the_picture() -> None:
    height, width, _ = SCENE_SIZE.shape
    for left, top, right, bottom in (one.box for objects in everything() for one in objects):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert right - left == bottom - top
    sides = {(one.size, one.box[2] - one.box[0]) for objects in everything() for one in objects}
    assert sides == set(SIDES.items())


def test_words_numbers_and_places_are_alike_often() -> None:
    objects = [one for scene in SCENES["train"] for one in scene]
    for values, of in (
        (SIZES, lambda one: one.size),
        (COLOURS, lambda one: one.colour),
        (SHAPES, lambda one: one.shape),
        (range(9), lambda one: one.box[1] // CELL * 3 + one.box[0] // CELL),
    ):
        counts, mean = Counter(map(of, objects)), len(objects) / len(values)
        assert set(counts) == set(values)
        assert all(0.85 * mean < count < 1.15 * mean for count in counts.values())
    numbers = Counter(map(len, SCENES["train"]))
    assert set(numbers) == set(range(1, 7))
    assert all(270 < count < 400 for count in numbers.values())


def test_objects_move_all_over_their_cells() -> None:
    moves = {(one.size, one.box[axis] % CELL) for scene in SCENES["train"] for one in scene for axis in (0, 1)}
    assert moves == {(size, move) for size, side in SIDES.items() for move in range(CELL - side + 1)}


def test_reserved_combinations_have_each_colour_and_shape_once() -> None:
    assert sorted(colour for colour, _ in UNSEEN) == sorted(COLOURS)
    assert sorted(shape for _, shape in UNSEEN) == sorted(SHAPES)


def test_only_every_fifth_test_scene_has_an_unseen_combination() -> None:
    for name in ("train", "validation"):
        assert not any(has_unseen(description) for description, _ in PAIRS[name])
    combined = {(one.colour, one.shape) for scene in SCENES["train"] for one in scene}
    assert len(combined) == 64 - 8
    assert not combined & UNSEEN
    assert [has_unseen(description) for description, _ in PAIRS["test"]] == [True, False, False, False, False] * 48
    assert {(one.colour, one.shape) for scene in SCENES["test"] for one in scene} > UNSEEN


def test_the_test_has_as_many_scenes_of_each_number_of_objects() -> None:
    unseen = [len(parse_scene(description)) for description, _ in PAIRS["test"] if has_unseen(description)]
    assert Counter(map(len, SCENES["test"])) == dict.fromkeys(range(1, 7), 40)
    assert Counter(unseen) == dict.fromkeys(range(1, 7), 8)


@pytest.mark.parametrize(("low", "high"), [(9, 9), (1, 5)], ids=["full", "five numbers"])
def test_any_range_of_numbers_is_possible(low: int, high: int) -> None:
    options = OPTIONS.model_copy(update={"min_items": low, "max_items": high, "test": 50})
    test = [parse_scene(description) for description, _ in scenes_pairs(options)["test"]]
    each = 50 // (high - low + 1)
    assert Counter(map(len, test)) == dict.fromkeys(range(low, high + 1), each)
    unseen = Counter(len(objects) for objects in test if any(one.unseen for one in objects))
    assert unseen == dict.fromkeys(range(low, high + 1), each // 5)


def test_the_seed_decides() -> None:
    assert scenes_pairs(OPTIONS) == PAIRS
    assert scenes_pairs(OPTIONS.model_copy(update={"seed": 4}))["test"] != PAIRS["test"]


def test_scenes_stay_the_same_from_release_to_release() -> None:
    text = "\n".join("\t".join(pair) for split in PAIRS.values() for pair in split)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "65c774cc2c477569ae49f885a58dc1119a06a3c9b75c49b498b4b20098efb04b"
    )


def test_too_many_scenes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SIDES", dict.fromkeys(SIZES, CELL))  # 9 cells · 56 combinations · 3 sizes
    options = GeneratorOptions(name="scenes", train=1513, validation=1, test=1, min_items=1, max_items=1)
    with pytest.raises(UsageError, match="not enough different scenes of 1 object"):
        scenes_pairs(options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_touches_all_sides_of_its_box_and_stays_inside(size: str, shape: str) -> None:
    for colour in COLOURS:
        left, top, right, bottom = box = (23, 40, 23 + SIDES[size], 40 + SIDES[size])
        changed = (draw_scene(str(SceneObject(size, colour, shape, box))) != PAPER).any(-1)
        rows, columns = changed.any(1).nonzero()[0], changed.any(0).nonzero()[0]
        assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (left, top, right, bottom)


def test_objects_look_the_same_in_company_and_change_nothing_else() -> None:
    for objects in SCENES["test"]:
        expected = np.full(SCENE_SIZE.shape, PAPER, np.uint8)
        for one in objects:
            left, top, right, bottom = one.box
            expected[top:bottom, left:right] = draw_scene(str(one))[top:bottom, left:right]
        np.testing.assert_array_equal(draw_scene("; ".join(map(str, objects))), expected)


def test_objects_have_their_colour() -> None:
    for colour, rgb in RGB.items():
        picture = draw_scene(f"big {colour} square 4 30 22 48")
        assert (picture[30:48, 4:22] == rgb).all()
    assert all(np.abs(np.subtract(one, other)).sum() > 75 for one, other in combinations([*RGB.values(), PAPER], 2))


@pytest.mark.parametrize("size", SIZES)
def test_shapes_differ_even_if_small(size: str) -> None:
    side = SIDES[size]
    pictures = [draw_scene(f"{size} black {shape} 0 0 {side} {side}")[:side, :side, 0] for shape in SHAPES]
    for one, other in combinations(pictures, 2):
        different = np.abs(one.astype(int) - other.astype(int)) > 80
        assert different.sum() >= 0.08 * side * side


def test_a_picture_is_an_array_to_write_to() -> None:
    picture = draw_scene("small red circle 5 3 14 12")
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    assert Image.fromarray(picture).size == (64, 64)
