"""Image files: find them in a directory, and decode them to pixels of a fixed size."""

import functools
import io
import logging
import os
import re
import stat
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from s2s.errors import DataError, ResourceError, S2SError, UsageError, wrap_os_errors

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 2**26  # of an image before it is scaled
MAX_BYTES = 2**28  # of an image file
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")  # those that Pillow decodes without other programs
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
}
SIGNATURES = {  # regular expressions
    rb"\xff\xd8": "JPEG",
    rb"\x89PNG": "PNG",
    rb"GIF8": "GIF",
    rb"RIFF.{4}WEBP": "WebP",
    rb"BM": "BMP",
    rb"II\*\0|MM\0\*": "TIFF",
}
ORIENTATION = 0x0112  # EXIF tag


def list_images(path: str | Path, suffixes: Collection[str] = SUFFIXES) -> list[str]:
    """Return the paths of the image files in a directory, in natural order: `2.png` is before `10.png`.

    Files are recognized by their extension, one of `suffixes`; hidden files and subdirectories are skipped.
    Raises: UsageError if the directory does not exist or has no images, ResourceError if it cannot be read.
    """
    with wrap_os_errors(path, "read"):
        files = [file for file in Path(path).iterdir() if file.suffix.lower() in suffixes and file.is_file()]
    visible = [str(file) for file in files if not file.name.startswith(".")]
    if not visible:
        known = ", ".join(sorted(suffixes))
        raise UsageError(f"{path} has no image files", f"images are recognized by their extension: {known}")
    return sorted(visible, key=_natural_key)


def _natural_key(path: str) -> tuple[list[str | int], str]:
    """Return a sort key that compares digits as numbers and ignores case."""
    parts = re.split(r"([0-9]+)", Path(path).name.lower())  # text and digits in turn
    return [int(part) if position % 2 else part for position, part in enumerate(parts)], path


def open_image(path: str | Path) -> BinaryIO:
    """Open an image file for reading bytes.

    Raises: UsageError if it does not exist or is not a regular file, ResourceError if it cannot be read.
    """
    file = Path(path)
    with wrap_os_errors(path, "read"):
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"cannot read {path}: it is a directory", "name a file")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
            raise UsageError(f"cannot read {path}: it is a pipe or a device", "write the image to a file first")
        return file.open("rb")


def read_image(path: str | Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode an image file and return its pixels [height, width, 3], scaled to `size` (height, width).

    The image is scaled until it covers `size`, and its middle is cut out. Its EXIF orientation is applied; transparent
    parts become white; of an animation, the first frame is returned.
    Raises: DataError if it is not a readable image, UsageError or ResourceError if it cannot be opened.
    """
    with open_image(path) as file, wrap_os_errors(path, "read"):
        bytes_stored = os.fstat(file.fileno()).st_size
        if bytes_stored > MAX_BYTES:
            raise DataError(f"{path}: the file is larger than {MAX_BYTES >> 20} MiB", "scale the image down")
        content = file.read(bytes_stored)
    return decode_image(content, size, str(path))


def decode_image(content: bytes, size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Decode the content of an image file as `read_image` does; errors name `where`.

    Raises: DataError if it is not a readable image, ResourceError if memory runs out.
    """
    try:
        return _decode(content, size, where)
    except S2SError:
        raise
    except MemoryError as error:
        raise ResourceError(f"cannot read {where}: out of memory") from error
    except Exception as error:  # the decoders raise OSError, SyntaxError, ValueError, struct.error and others
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{where}: the image is damaged or truncated ({reason})") from error


def _decode(content: bytes, size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    from PIL.Image import Resampling, Transpose
    from PIL.ImageOps import fit

    image = _identify(content, where)
    needed = 2 * max(size)
    image.draft(None, (needed, needed))  # a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that suffices
    image.load()
    orientation = _orientation(image)
    turned = orientation >= 5  # rows are columns
    colours, wanted = _to_rgb(image, where), size if turned else (size[1], size[0])
    fitted = colours if colours.size == wanted else fit(colours, wanted, Resampling.BICUBIC)
    upright = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return np.array(fitted.transpose(upright[orientation]) if orientation in upright else fitted)


def _identify(content: bytes, where: str) -> "ImageFile":
    """Read the header of an image; refuse other content and large images before their pixels are decoded."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise DataError(f"{where}: the file is empty")
    _silence_pillow()
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = image.size
    except UnidentifiedImageError as error:
        reason, hint = _unidentified(content)
        raise DataError(f"{where}: {reason}", hint) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit is higher
        raise DataError(f"{where}: the image has more than {MAX_PIXELS:,} pixels", "scale it down") from error
    if width * height > MAX_PIXELS:
        raise DataError(f"{where}: {width:,} × {height:,} pixels are more than {MAX_PIXELS:,}", "scale the image down")
    return image


@functools.cache
def _silence_pillow() -> None:
    """Ignore the warnings of Pillow about metadata, once: changing filters for each image is not safe in threads."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def _unidentified(content: bytes) -> tuple[str, str | None]:
    """Return why the content is not an image that can be decoded, and a hint."""
    head = content[:1024].lstrip().lower()
    for signature, name in SIGNATURES.items():
        if re.match(signature, content, re.DOTALL):
            return f"the header of this {name} file is damaged or truncated", None
    if b"<svg" in head:
        return "an SVG drawing instead of an image", "convert it to PNG"
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page instead of an image", "download the image again"
    if b"git-lfs" in head:
        return "a Git LFS pointer instead of the image", "run git lfs pull"
    if min(head.translate(None, b"\t\n\r\f"), default=32) >= 32:
        return "text instead of an image", None
    return "not a JPEG, PNG, GIF, WebP, BMP, TIFF or PPM image", "convert it to one of these formats"


def _orientation(image: "ImageFile") -> int:
    """Return the EXIF orientation (1 to 8) of a decoded image, by default 1. Pillow itself applies that of a TIFF."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata do not make the image unreadable
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def _to_rgb(image: "Image", where: str) -> "Image":
    """Convert an image to 8-bit RGB, composited on white if it has transparent parts."""
    from PIL import Image

    if image.mode == "F":
        raise DataError(f"{where}: its pixels are floating-point numbers of unknown range", "convert it to 8 bits")
    if image.mode.startswith("I"):  # 16 bits, where Pillow would clip values above 255
        grey = (np.clip(np.asarray(image), 0, 65_535).astype(np.uint32) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
