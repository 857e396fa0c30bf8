"""Random changes to the images of a batch: shifts, colours and mirroring.

B: images in a batch.
"""

import numpy as np
from numpy.typing import NDArray

from s2s.data.sources import Image
from s2s.recipe.training import TrainingOptions


def augmented(images: list[Image], options: TrainingOptions, seed: list[int]) -> list[Image]:
    """Return B images of one size, changed at random; the same `seed` gives the same changes.

    An image is moved by up to a share `image_shift` of its height and width, with its border repeated; each of the
    three colour channels is scaled by a factor of its own from 1 ± `image_color`; with `image_flip`, half of the images
    are mirrored.
    """
    random = np.random.default_rng(seed)
    pixels = np.stack([image.picture for image in images])
    pixels = _shifted(pixels, options.image_shift, random)
    if options.image_color:
        scale = 1 + options.image_color * random.uniform(-1, 1, (len(pixels), 1, 1, 3))
        pixels = np.clip(pixels * scale.astype(np.float32) + 0.5, 0, 255).astype(np.uint8)
    if options.image_flip:
        mirrored = random.random(len(pixels)) < 0.5
        pixels[mirrored] = pixels[mirrored, :, ::-1]
    return [Image(one) for one in pixels]


def _shifted(pixels: NDArray[np.uint8], share: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Move images [B, height, width, 3] by up to a share of each side; repeat their borders."""
    count, height, width, _ = pixels.shape
    rows, columns = (
        np.clip(np.arange(side) + random.integers(-int(share * side), int(share * side) + 1, (count, 1)), 0, side - 1)
        for side in (height, width)
    )
    return pixels[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
