"""Scores of scenes: objects match in order, and pointing looks at the right rows and cells."""

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

from s2s.metrics.scenes import (
    COLOURS,
    SHAPES,
    SIZES,
    NamedObject,
    Pointing,
    SceneScores,
    common_length,
    named_objects,
    pointing,
    scene_f1,
)

RED, BLUE = "a small red circle", "a big blue star"


def naive_length(one: Sequence[object], other: Sequence[object]) -> int:
    """The definition: drop the last item of one of the two, or match both."""
    if not one or not other:
        return 0
    matched = naive_length(one[:-1], other[:-1]) + 1 if one[-1] == other[-1] else 0
    return max(matched, naive_length(one[:-1], other), naive_length(one, other[:-1]))


def test_vocabulary_is_distinct_words():
    assert (len(SIZES), len(COLOURS), len(SHAPES)) == (3, 8, 8)
    assert len({*SIZES, *COLOURS, *SHAPES}) == 19


@pytest.mark.parametrize(
    ("caption", "objects"),
    [
        ("", []),
        (RED, ["small red circle"]),
        (f"{RED}, {BLUE} and a medium green cross", ["small red circle", "big blue star", "medium green cross"]),
        ("a big small red circle circle", ["small red circle"]),
        ("a small circle, a red circle, a small red", []),
        ("a small red circlestar", []),
        ("a bsmall red circle", []),
        ("a small red, circle", []),
        (f"and and {BLUE} ⁇ a", ["big blue star"]),
    ],
    ids=["empty", "one", "three", "stutter", "incomplete", "longer word", "prefix", "comma inside", "noise"],
)
def test_complete_objects_are_found_in_order(caption, objects):
    assert named_objects(caption) == [NamedObject(*text.split()) for text in objects]


def test_common_length_is_that_of_the_definition():
    draw = random.Random(2)
    for n, m in itertools.product(range(7), repeat=2):
        one, other = ([draw.randrange(3) for _ in range(count)] for count in (n, m))
        assert common_length(one, other) == naive_length(one, other)


def test_equal_captions_score_100():
    captions = [RED, f"{BLUE} and {RED}"]
    assert scene_f1(captions, captions) == SceneScores(100, 100, 100, 100)


def test_wrong_parts_lower_only_their_scores_and_the_objects():
    scores = scene_f1(["a small green star and a big blue star"], [f"{RED} and {BLUE}"])
    assert scores == SceneScores(objects=50, sizes=100, colours=50, shapes=50)


def test_wrong_order_matches_once():
    assert scene_f1([f"{BLUE} and {RED}"], [f"{RED} and {BLUE}"]).objects == 50


def test_missing_and_additional_objects_count():
    assert scene_f1([RED], [f"{RED} and {BLUE}"]).objects == pytest.approx(200 * 1 / 3)
    assert scene_f1([f"{RED}, {BLUE} and {BLUE}"], [f"{RED} and {BLUE}"]).objects == pytest.approx(200 * 2 / 5)


def test_scores_are_sums_over_captions_not_means():
    captions, references = [RED, ""], [RED, f"{RED}, {BLUE} and {BLUE}"]
    assert scene_f1(captions, references).objects == pytest.approx(200 * 1 / (1 + 1 + 3))


def test_captions_without_objects_score_0():
    assert scene_f1(["", "a a a"], ["", RED]) == SceneScores(0, 0, 0, 0)
    assert scene_f1([""], [""]) == SceneScores(0, 0, 0, 0)


def test_another_number_of_references_is_refused():
    with pytest.raises(ValueError, match="zip"):
        scene_f1([RED], [RED, BLUE])


GRID, PICTURE = (3, 5), (30, 100)  # cells of 10 × 20 pixels
TOKENS = ("▁a", "▁small", "▁red", "▁circle", "</s>")


def attention_on(rows: dict[int, dict[tuple[int, int], float]], length: int) -> np.ndarray:
    """Attention [length, 15] with the given weights of cells; the rest of each row is in the last cell."""
    attention = np.zeros((length, *GRID))
    for row, cells in rows.items():
        for cell, weight in cells.items():
            attention[row][cell] = weight
    attention[:, -1, -1] += 1 - attention.sum((1, 2))
    return attention.reshape(length, GRID[0] * GRID[1])


@pytest.mark.parametrize(
    ("box", "near", "inside"),
    [
        ((0, 0, 20, 10), {(0, 0), (0, 1), (1, 0), (1, 1)}, {(0, 0)}),
        ((19, 9, 21, 11), {(y, x) for y in range(3) for x in range(3)}, {(y, x) for y in range(2) for x in range(2)}),
        ((60, 20, 80, 30), {(y, x) for y in (1, 2) for x in (2, 3, 4)}, {(2, 3)}),
        ((80, 0, 100, 10), {(y, x) for y in (0, 1) for x in (3, 4)}, {(0, 4)}),
        ((40, 10, 41, 30), {(y, x) for y in range(3) for x in (1, 2, 3)}, {(1, 2), (2, 2)}),
    ],
    ids=["corner", "four cells", "bottom", "right", "two rows"],
)
def test_cells_of_a_box_and_around_it_count(box, near, inside):
    weights = np.random.default_rng(1).dirichlet(np.ones(15), size=len(TOKENS))
    cells = weights[3].reshape(GRID)
    found = pointing(weights, TOKENS, [box], GRID, PICTURE)
    assert found.words == 1
    assert found.near == pytest.approx(sum(cells[cell] for cell in near))
    assert found.inside == pytest.approx(sum(cells[cell] for cell in inside))


@pytest.mark.parametrize(
    ("tokens", "rows"),
    [
        (("▁a", "▁small", "▁red", "▁star", "</s>"), [3]),
        (("▁small", "▁st", "ar", "</s>"), [1, 2]),
        (("▁", "star", ",", "▁a", "</s>"), [0, 1]),
        (("▁star,", "▁a"), [0]),
        (("▁st", "ar", ".", "</s>"), [0, 1]),
        (("star", "▁red", "</s>"), [0]),
        (("▁big", "▁s", "t", "ar"), [1, 2, 3]),
    ],
    ids=["word", "two tokens", "comma after", "comma inside", "full stop", "no start", "truncated"],
)
def test_attention_of_a_word_is_the_mean_of_its_own_tokens(tokens, rows):
    weights = np.random.default_rng(4).dirichlet(np.ones(15), size=len(tokens))
    found = pointing(weights, tokens, [(20, 0, 40, 10)], GRID, PICTURE)
    assert found.words == 1
    assert found.inside == pytest.approx(weights[rows, 1].mean())


def test_each_shape_word_belongs_to_the_next_object():
    tokens = ("▁red", "▁circle,", "▁big", "▁star", "▁and", "▁ring", "</s>")
    attention = attention_on({1: {(0, 0): 0.5}, 3: {(2, 3): 0.25}, 5: {(0, 2): 0.125}}, len(tokens))
    boxes = [(0, 0, 20, 10), (60, 20, 80, 30), (40, 0, 60, 10)]
    assert pointing(attention, tokens, boxes, GRID, PICTURE) == Pointing(3, 0.5 + 1 + 0.125, 0.875)


def test_shape_words_beyond_the_objects_count_as_nothing():
    tokens = ("▁star", "▁star", "▁star")
    attention = attention_on({row: {(0, 0): 1.0} for row in range(3)}, 3)
    assert pointing(attention, tokens, [(0, 0, 20, 10)], GRID, PICTURE) == Pointing(3, 1, 1)
    assert pointing(attention, tokens, [], GRID, PICTURE) == Pointing(3, 0, 0)


@pytest.mark.parametrize("tokens", [(), ("</s>",), ("▁a", "▁stars", "</s>"), ("▁s", "▁tar", "</s>")])
def test_no_shape_words_give_nothing(tokens):
    attention = attention_on({}, len(tokens))
    assert pointing(attention, tokens, [(0, 0, 20, 10)], GRID, PICTURE) == Pointing(0, 0, 0)
