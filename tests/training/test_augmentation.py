from typing import Any

import numpy as np
import pytest

from s2s.data.sources import Image
from s2s.recipe.training import TrainingOptions
from s2s.training.augmentation import augmented

B, HEIGHT, WIDTH = 40, 10, 20


def images() -> list[Image]:
    random = np.random.default_rng(1)
    return [Image(random.integers(20, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)) for _ in range(B)]


def changed(seed: int = 1, **options: Any) -> list[np.ndarray]:
    given = TrainingOptions(**options)
    assert given.augments_images
    return [image.pixels for image in augmented(images(), given, [seed, 0, 0])]


@pytest.mark.parametrize("options", [{"image_shift": 0.2}, {"image_color": 0.3}, {"image_flip": True}])
def test_the_seed_alone_decides(options: dict[str, Any]):
    assert all((a == b).all() for a, b in zip(changed(**options), changed(**options), strict=True))
    assert not all((a == b).all() for a, b in zip(changed(**options), changed(2, **options), strict=True))


def test_nothing_is_changed_by_default():
    assert not TrainingOptions().augments_images


def test_a_shift_moves_and_repeats_the_border():
    shifts = set()
    for image, found in zip(images(), changed(image_shift=0.2), strict=True):
        padded = np.pad(image.pixels, ((2, 2), (4, 4), (0, 0)), mode="edge")
        places = [
            (row, column)
            for row in range(5)
            for column in range(9)
            if (padded[row : row + HEIGHT, column : column + WIDTH] == found).all()
        ]
        assert len(places) == 1
        shifts.update(places)
    assert {row for row, _ in shifts} == set(range(5))
    assert {column for _, column in shifts} == set(range(9))


def test_colours_are_scaled_one_by_one():
    for image, found in zip(images(), changed(image_color=0.25), strict=True):
        ratios = (found / image.pixels).reshape(-1, 3)
        assert (ratios.max(0) - ratios.min(0) < 0.06).all()  # rounding
        assert (np.abs(np.median(ratios, 0) - 1) <= 0.27).all()


def test_half_of_the_images_are_mirrored():
    mirrored = 0
    for image, found in zip(images(), changed(image_flip=True), strict=True):
        flipped = (found == image.pixels[:, ::-1]).all()
        assert flipped or (found == image.pixels).all()
        mirrored += bool(flipped)
    assert 8 < mirrored < 32
