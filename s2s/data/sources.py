"""What networks read: sentences as token ids, or images. Free of torch; imports numpy only where it computes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from s2s.recipe.image_size import ImageSize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ids: TypeAlias = "NDArray[np.int32]"
Pixels: TypeAlias = "NDArray[np.uint8]"
Features: TypeAlias = "NDArray[np.float16]"
CELL_PIXELS = 16  # side of a cell of features in a picture
Sentences: TypeAlias = "Sequence[Sequence[int] | Ids]"  # token ids, without special tokens


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image to encode. Its length is the number of tokens that it counts as in a batch."""

    pixels: "Pixels | Features"  # [height, width, 3], or features [height, width, C]

    def __len__(self) -> int:
        height, width, channels = self.pixels.shape
        return ImageSize(height, width, channels if self.pixels.dtype == "float16" else 0).tokens

    @property
    def picture(self) -> Pixels:
        """What to draw of it: its pixels, or a white area for features."""
        import numpy as np

        if self.pixels.dtype == np.uint8:
            return cast(Pixels, self.pixels)
        height, width, _ = self.pixels.shape
        return np.full((CELL_PIXELS * height, CELL_PIXELS * width, 3), 255, np.uint8)


Sources: TypeAlias = "Sentences | Sequence[Image]"
RawSources = Sequence[str] | Sequence[Image]  # before tokenization


def select_sources(sources: Sources, rows: Iterable[int]) -> Sources:
    """Return some of the sources."""
    return cast(Sources, [sources[row] for row in rows])


def source_positions(source: "Sequence[int] | Ids | Image") -> int | None:
    """Return the number of positions of a sentence in the memory, EOS included; None for all, those of an image."""
    return None if isinstance(source, Image) else len(source) + 1
