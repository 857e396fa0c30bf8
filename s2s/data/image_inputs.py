"""What captioners read: image files, or files of features."""

from pathlib import Path

from s2s.data.features import SUFFIX, read_features
from s2s.data.images import SUFFIXES, list_images, read_image
from s2s.data.sources import Image
from s2s.recipe.image_size import ImageSize


def read_input(path: str | Path, size: ImageSize) -> Image:
    """Read an image, scaled to `size`, or features of that size.

    Raises: DataError if the file is damaged or something else, UsageError or ResourceError if it cannot be opened.
    """
    if size.features:
        return Image(read_features(path, size))
    return Image(read_image(path, (size.height, size.width)))


def list_inputs(path: str | Path, *, features: bool) -> list[str]:
    """Return the paths of the image files in a directory, or of the files of features, in natural order.

    Raises: UsageError if the directory does not exist or has none, ResourceError if it cannot be read.
    """
    return list_images(path, {SUFFIX} if features else SUFFIXES)
