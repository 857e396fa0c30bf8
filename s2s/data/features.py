"""Features of images: files of safetensors that hold one grid each, computed by another network."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s.data.images import MAX_BYTES, open_image
from s2s.errors import DataError, wrap_os_errors
from s2s.recipe.image_size import ImageSize

SUFFIX = ".safetensors"
NUMBERS = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "BF16": np.dtype("<u2")}


def read_features(path: str | Path, size: ImageSize) -> NDArray[np.float16]:
    """Read the features [height, width, C] of an image from a file with one tensor of that shape, in half precision.

    Raises: DataError if it is no such file, or a number is not finite in half precision; UsageError or ResourceError if
    it cannot be opened.
    """
    from safetensors import SafetensorError, deserialize

    with open_image(path) as file, wrap_os_errors(path, "read"):
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: the file is larger than {MAX_BYTES >> 20} MiB")
    try:
        tensors = deserialize(content)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file, or damaged ({error})") from error
    if len(tensors) != 1:
        raise DataError(f"{path}: {len(tensors)} tensors instead of one", "store the features of one image per file")
    ((_, tensor),) = tensors
    if tuple(tensor["shape"]) != size.shape:
        found, expected = (" × ".join(map(str, shape)) for shape in (tensor["shape"], size.shape))
        raise DataError(
            f"{path}: features of {found or 'no dimension'}, expected {expected}",
            "data.height, data.width and data.channels set the shape",
        )
    features = _numbers(tensor, str(path)).reshape(size.shape)
    if not np.isfinite(features).all():
        raise DataError(f"{path}: a number is not finite, or too large for half precision")
    return features


def _numbers(tensor: dict[str, Any], where: str) -> NDArray[np.float16]:
    """Return the numbers of a tensor in half precision."""
    kind: Any = NUMBERS.get(tensor["dtype"])
    if kind is None:
        raise DataError(f"{where}: numbers of type {tensor['dtype']}", f"store them as one of {', '.join(NUMBERS)}")
    values = np.frombuffer(tensor["data"], dtype=kind)
    if tensor["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return values.astype(np.float16)
