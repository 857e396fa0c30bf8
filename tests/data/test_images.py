import io
import os
import random
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from s2s.data import images
from s2s.data.images import list_images, read_image
from s2s.errors import DataError, S2SError, UsageError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def gradient(height: int = 40, width: int = 56) -> Image.Image:
    """A smooth picture whose quarters differ."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [rows * 255 // height, columns * 255 // width, np.full_like(rows, 90)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **values: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **values)
    return file.getvalue()


def read(root: Path, content: bytes, size: tuple[int, int] = (8, 8), name: str = "a.png") -> np.ndarray:
    (root / name).write_bytes(content)
    return read_image(root / name, size)


def png(width: int, height: int, color: int = 2) -> bytes:
    """A PNG with this header and no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def large_frame_gif() -> bytes:
    content = bytearray(encoded(Image.new("P", (7, 5)), "GIF"))
    frame = content.rindex(b",\0\0\0\0\x07\0\x05\0")
    content[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


def half(kind: str) -> bytes:
    content = encoded(gradient(), kind)
    return content[: len(content) // 2]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_pixels_are_kept_where_the_size_is_the_same(tmp_path: Path, kind: str):
    image = gradient(40, 56)
    values = {"lossless": True} if kind == "WEBP" else {}
    pixels = read(tmp_path, encoded(image, kind, **values), (40, 56))
    assert (pixels.shape, pixels.dtype) == ((40, 56, 3), np.uint8)
    assert np.array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(("height", "width"), [(300, 1200), (1200, 300), (180, 60), (49, 77)])
def test_the_middle_of_an_image_is_cut_out_without_distortion(tmp_path: Path, kind: str, height: int, width: int):
    scale = max(24 / height, 48 / width)  # to the target's 24 × 48 pixels
    image = Image.new("RGB", (width, height), "red")
    for color, rows, columns in [(GREEN, 24, 48), (BLUE, 12, 12)]:
        left, right = ((width + sign * columns / scale) / 2 for sign in (-1, 1))
        top, bottom = ((height + sign * rows / scale) / 2 for sign in (-1, 1))
        image.paste(color, tuple(map(round, (left, top, right, bottom))))
    values = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    pixels = read(tmp_path, encoded(image, kind, **values), (24, 48))
    assert pixels.shape == (24, 48, 3)
    blue = pixels[..., 2] > 128
    assert blue.any(axis=1).sum() == pytest.approx(12, abs=1)
    assert blue.any(axis=0).sum() == pytest.approx(12, abs=1)
    assert blue.any(axis=1)[[11, 12]].all()
    assert blue.any(axis=0)[[23, 24]].all()
    assert pixels[..., 0].mean() < 10  # red is cut off


def test_large_jpegs_are_scaled_as_exactly_as_large_pngs(tmp_path: Path):
    image = gradient(1000, 1400)
    whole = read(tmp_path, encoded(image, "PNG"), (40, 64)).astype(int)
    draft = read(tmp_path, encoded(image, "JPEG", quality=95), (40, 64)).astype(int)
    assert np.abs(whole - draft).max() <= 3


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(tmp_path: Path, kind: str, orientation: int):
    upright = gradient(24, 40)
    stored = {
        1: lambda pixels: pixels,
        2: np.fliplr,
        3: lambda pixels: np.rot90(pixels, 2),
        4: np.flipud,
        5: lambda pixels: pixels.swapaxes(0, 1),
        6: lambda pixels: np.rot90(pixels, 1),  # shown turned clockwise
        7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
        8: lambda pixels: np.rot90(pixels, -1),
    }[orientation](np.asarray(upright))
    values = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif(orientation), **values)
    assert np.abs(read(tmp_path, content, (24, 40)).astype(int) - np.asarray(upright)).max() <= 3


def transparent_palette() -> bytes:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 8, 4))
    return encoded(image, "PNG", transparency=bytes([0, 255]))


def layered(mode: str, top: tuple[int, ...], bottom: tuple[int, ...]) -> bytes:
    image = Image.new(mode, (8, 8), bottom)
    image.paste(top, (0, 0, 8, 4))
    return encoded(image, "PNG")


def animation() -> bytes:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN, BLUE)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("make", "top", "bottom"),
    [
        pytest.param(transparent_palette, WHITE, BLUE, id="transparent palette"),
        pytest.param(lambda: layered("RGBA", (9, 9, 9, 0), (*RED, 255)), WHITE, RED, id="RGBA"),
        pytest.param(
            lambda: layered("RGBA", (255, 0, 0, 51), (*RED, 255)), (255, 204, 204), RED, id="half transparent"
        ),
        pytest.param(lambda: layered("LA", (0, 0), (100, 255)), WHITE, (100, 100, 100), id="LA"),
        pytest.param(lambda: layered("L", (7,), (100,)), (7, 7, 7), (100, 100, 100), id="L"),
        pytest.param(lambda: layered("1", (1,), (0,)), WHITE, (0, 0, 0), id="1 bit"),
        pytest.param(lambda: encoded(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED), WHITE, WHITE, id="tRNS"),
        pytest.param(animation, RED, RED, id="animation"),
    ],
)
def test_modes_become_rgb_on_white(
    tmp_path: Path, make: Callable[[], bytes], top: tuple[int, ...], bottom: tuple[int, ...]
):
    pixels = read(tmp_path, make())
    assert pixels[0, 0].tolist() == list(top)
    assert pixels[-1, -1].tolist() == list(bottom)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_to_8_bits(tmp_path: Path, kind: str):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    pixels = read(tmp_path, encoded(Image.fromarray(values), kind))
    assert np.array_equal(pixels, np.repeat(np.rint(values / 257).astype(np.uint8)[..., None], 3, axis=-1))


def test_32_bit_grey_is_read_as_16_bits(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 257 * 9], [65_535, 2_000_000]], dtype=np.int32))
    assert read(tmp_path, encoded(image, "TIFF"), (2, 2))[..., 0].tolist() == [[0, 9], [255, 255]]


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path):
    content = encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(read(tmp_path, content).astype(int) - RED).max() <= 4


def test_content_decides_and_not_the_extension(tmp_path: Path):
    assert read(tmp_path, encoded(Image.new("RGB", (8, 8), RED), "BMP"), name="a.jpg")[0, 0].tolist() == list(RED)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (3, 7), (63, 65), (1001, 999)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_images_of_any_shape_are_scaled(tmp_path: Path, kind: str, width: int, height: int):
    for size in [(64, 64), (8, 31), (100, 9)]:
        assert read(tmp_path, encoded(Image.new("RGB", (width, height), WHITE), kind), size).min() >= 254


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "0 bytes": (lambda: b"", "is empty"),
    "truncated PNG": (lambda: half("PNG"), "damaged or truncated"),
    "truncated JPEG": (lambda: half("JPEG"), "damaged or truncated"),
    "truncated GIF": (lambda: half("GIF"), "damaged or truncated"),
    "truncated WebP": (lambda: half("WEBP"), "damaged or truncated"),
    "truncated PNG header": (lambda: encoded(gradient(), "PNG")[:20], "damaged or truncated"),
    "damaged PNG header": (lambda: png(8, 8).replace(b"\0\x08\0", b"\0\x09\0", 1), "header of this PNG file"),
    "truncated JPEG header": (lambda: encoded(gradient(), "JPEG")[:20], "header of this JPEG file"),
    "large PNG": (lambda: png(30_000, 30_000), "pixels"),
    "a bit too large PNG": (lambda: png(8193, 8192), "8,193 × 8,192 pixels"),
    "large BMP": (
        lambda: struct.pack("<2sIIIIiiHHIIIIII", b"BM", 99, 0, 54, 40, 9000, 9000, 1, 24, *[0] * 6),
        "pixels",
    ),
    "large PPM": (lambda: b"P6 90000 90000 255\n", "pixels"),
    "GIF with a large frame": (large_frame_gif, "pixels"),
    "PNG without pixels": (lambda: png(300, 300), "damaged or truncated"),
    "PNG of width 0": (lambda: png(0, 8), "damaged or truncated"),
    "floating-point TIFF": (lambda: encoded(Image.new("F", (8, 8), 0.5), "TIFF"), "floating-point"),
    "SVG": (lambda: SVG, "SVG"),
    "EPS": (lambda: EPS, "text instead"),
    "HTML": (lambda: b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    "text": (lambda: "Grüße\n".encode() * 300, "text instead"),
    "Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS"),
    "another format": (lambda: encoded(gradient(), "JPEG2000"), "not a JPEG, PNG"),
    "random bytes": (lambda: random.Random(1).randbytes(999), "not a JPEG, PNG"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_bad_content_is_refused_in_one_line(tmp_path: Path, make: Callable[[], bytes], reason: str):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, make())
    assert caught.value.message.startswith(f"{tmp_path / 'a.png'}: ")
    assert "\n" not in caught.value.described


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path):
    with (tmp_path / "a.png").open("wb") as file:
        file.write(png(8, 8))
        file.truncate(images.MAX_BYTES + 2)
    with pytest.raises(DataError, match="larger than 256 MiB"):
        read_image(tmp_path / "a.png", (8, 8))


@pytest.mark.timeout(30)
def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "file.png").write_bytes(b"")
    for path, reason in [
        (tmp_path / "none.png", "No such file"),
        (tmp_path / "file.png" / "a.png", "Not a directory"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe.png", "pipe or a device"),
        (Path("/dev/zero"), "pipe or a device"),
    ]:
        with pytest.raises(UsageError, match=reason) as caught:
            read_image(path, (8, 8))
        assert f"cannot read {path}" in caught.value.message


SAMPLES: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(gradient(), "PNG", exif=exif(6)),
    "palette PNG": transparent_palette,
    "JPEG": lambda: encoded(gradient(), "JPEG", exif=exif(6)),
    "progressive JPEG": lambda: encoded(gradient(), "JPEG", progressive=True),
    "GIF": animation,
    "WebP": lambda: encoded(gradient(), "WEBP", exif=exif(6)),
    "BMP": lambda: encoded(gradient().quantize(16), "BMP"),
    "TIFF": lambda: encoded(gradient(), "TIFF", compression="tiff_lzw"),
    "PPM": lambda: encoded(gradient(), "PPM"),
}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Overwrite, cut out or repeat some bytes, more often near the start."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        start = int(len(data) * rng.random() ** rng.choice([1, 3]))
        end = start + rng.choice([1, 1, 2, 4, 30])
        data[start:end] = rng.choice([rng.randbytes(end - start), b"\xff" * (end - start), b"", data[start:end] * 2])
    return bytes(data[: rng.randint(1, len(data))] if rng.random() < 0.2 else data)


@pytest.mark.filterwarnings("ignore")  # s2s changes the filters once, and pytest restores them
@pytest.mark.parametrize("name", SAMPLES)
def test_fuzzed_files_are_read_or_bad_data(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]):
    content, rng = SAMPLES[name](), random.Random(name)
    refused = 0
    for _ in range(150):
        try:
            assert read(tmp_path, mutated(content, rng)).shape == (8, 8, 3)
        except DataError:
            refused += 1
    assert 10 < refused < 150
    assert name == "TIFF" or capfd.readouterr() == ("", "")  # libtiff writes messages of its own


@pytest.mark.filterwarnings("ignore")
def test_damaged_metadata_do_not_matter(tmp_path: Path):
    content = encoded(gradient(8, 8), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x63" * 9)
    assert np.array_equal(read(tmp_path, content), np.asarray(gradient(8, 8)))
    for orientation in (0, 9, 255):
        wide = encoded(gradient(8, 16), "PNG", exif=exif(orientation))
        assert np.array_equal(read(tmp_path, wide, (8, 16)), np.asarray(gradient(8, 16)))


def test_nothing_but_errors_is_said(tmp_path: Path):
    """Python shows warnings as errors here, and Pillow warns of large images and damaged metadata."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x010E] = "x" * 50
    files = {
        "large.png": png(10_000, 9_000),
        "metadata.tif": encoded(gradient(), "TIFF", tiffinfo=tags).replace(
            b"\x0e\x01\x02\0\x33\0", b"\x0e\x01\x02\0\xff\xff"
        ),
        "text.png": b"text",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import logging, sys\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "from s2s.data.images import read_image\n"
        "from s2s.errors import DataError\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(read_image(path, (8, 8)).shape)\n"
        "    except DataError as error: print('refused')\n"
        "print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, *(str(tmp_path / name) for name in files)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("refused\n(8, 8, 3)\nrefused\nFalse\n", "")


def test_threads_read_what_one_thread_reads(tmp_path: Path):
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(gradient(100 + number, 200), "JPEG"))
    found: dict[str, np.ndarray] = {}

    def work(path: str) -> None:
        found[path] = read_image(path, (16, 24))

    threads = [threading.Thread(target=work, args=(path,)) for path in list_images(tmp_path)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(read_image(path, (16, 24)), pixels) for path, pixels in found.items())
    assert len(found) == 8


def test_images_of_a_directory_are_in_natural_order(tmp_path: Path):
    for name in ["10.png", "2.PNG", "1.jpeg", "b2.gif", "B10.webp", "a.txt", ".hidden.png", "x.tif", "02.png", "png"]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "directory.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "x.tif")
    found = list_images(tmp_path)
    names = ["1.jpeg", "02.png", "2.PNG", "10.png", "b2.gif", "B10.webp", "link.png", "x.tif"]
    assert found == [str(tmp_path / name) for name in names]


def test_a_directory_without_images_is_a_usage_error(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"")
    for path, reason in [(tmp_path, "no image files"), (tmp_path / "no", "No such"), (tmp_path / "a.txt", "Not a dir")]:
        with pytest.raises(S2SError, match=reason) as caught:
            list_images(path)
        assert type(caught.value) is UsageError
