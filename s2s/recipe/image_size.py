"""The size of images."""

from typing import Literal, NamedTuple

PATCH = 64  # pixels of an image that count as a token in batches


class ImageSize(NamedTuple):
    """Size of the images of a corpus: of pixels, or of the features that another network has computed of them."""

    height: int  # in pixels, or in cells of the grid of features
    width: int
    features: int = 0  # numbers in each cell; 0 for pixels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image as an array."""
        return self.height, self.width, self.features or 3

    @property
    def dtype(self) -> Literal["uint8", "float16"]:
        """Type of the array's numbers."""
        return "float16" if self.features else "uint8"

    @property
    def bytes(self) -> int:
        """Bytes of an image as an array."""
        return self.height * self.width * (2 * self.features or 3)

    @property
    def tokens(self) -> int:
        """Tokens that an image counts as in a batch."""
        return self.height * self.width if self.features else max(1, self.height * self.width // PATCH)


SCENE_SIZE = ImageSize(64, 64)  # of generated pictures
