"""What networks read: sentences as token ids, or images. Free of torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from s2s.recipe.data import PATCH

Ids = NDArray[np.int32]
Pixels = NDArray[np.uint8]
Sentences = Sequence[Sequence[int] | Ids]  # token ids, without special tokens


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image to encode. Its length is the number of tokens that it counts as in a batch."""

    pixels: Pixels  # [height, width, 3]

    def __len__(self) -> int:
        height, width, _ = self.pixels.shape
        return max(1, height * width // PATCH)


Sources = Sentences | Sequence[Image]
RawSources = Sequence[str] | Sequence[Image]  # before tokenization


def select_sources(sources: Sources, rows: Iterable[int]) -> Sources:
    """Return some of the sources."""
    return cast(Sources, [sources[row] for row in rows])


def source_positions(source: Sequence[int] | Ids | Image) -> int | None:
    """Return the number of positions of a sentence in the memory, EOS included; None for all, those of an image."""
    return None if isinstance(source, Image) else len(source) + 1
