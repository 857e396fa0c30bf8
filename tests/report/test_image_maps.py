"""Maps of attention over an image: each word darkens it where attention is not, and the image is embedded once."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from s2s.report.figures import HeatMap
from s2s.report.image_maps import DARK, data_uri, describe_attention, draw_image_maps, svg_image_maps, word_maps
from s2s.report.page import comparison_page

TOKENS = ["▁a", "▁r", "ing", "</s>"]
GRID = (2, 5)
PIXELS = np.random.default_rng(1).integers(0, 256, (20, 50, 3), dtype=np.uint8)


def attention(*cells: int) -> list[list[float]]:
    """Attention that lies on one cell of the grid for each token."""
    return np.eye(GRID[0] * GRID[1])[list(cells)].tolist()


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def images(svg: str) -> list[str]:
    return re.findall(r'<image [^>]*href="(data:[^"]*)"', svg)


def test_a_word_has_the_mean_of_its_tokens():
    maps = word_maps(attention(0, 2, 4, 9), TOKENS, GRID)
    assert [one.word for one in maps] == ["a", "ring"]
    assert maps[1].map.tolist() == [[0, 0, 0.5, 0, 0.5], [0] * 5]


def test_a_word_is_bright_where_attention_is():
    svg = svg_image_maps(PIXELS, attention(9, 5, 5, 0), TOKENS, GRID)
    _, lower_right, lower_left = images(svg)
    for uri, (row, column) in ((lower_right, (-1, -1)), (lower_left, (-1, 0))):
        shade = np.asarray(decoded(uri))
        assert shade.shape == (13, 32, 2)
        assert shade[..., 0].max() == 0
        opacity = shade[..., 1] / 255
        assert opacity[row, column] < 0.1
        assert opacity[0, 16] == pytest.approx(1 - DARK, abs=0.1)


def test_an_image_is_embedded_once():
    svg = svg_image_maps(PIXELS, attention(1, 2, 3, 4), TOKENS, GRID)
    first, *shades = images(svg)
    assert (np.asarray(decoded(first)) == PIXELS).all()
    assert len(shades) == 2
    assert max(map(len, shades)) < 2000
    (name,) = re.findall(r'id="([^"]+)"', svg)
    assert svg.count(f'<use href="#{name}"') == 3


@pytest.mark.parametrize(
    ("shape", "form", "size"),
    [((64, 64), "PNG", (64, 64)), ((600, 900), "JPEG", (224, 149)), ((8, 1024), "JPEG", (224, 2))],
)
def test_large_images_are_embedded_small(shape: tuple[int, int], form: str, size: tuple[int, int]):
    image = decoded(data_uri(np.zeros((*shape, 3), dtype=np.uint8)))
    assert (image.format, image.size) == (form, size)
    svg_image_maps(np.zeros((*shape, 3), dtype=np.uint8), attention(1, 2, 3, 4), TOKENS, GRID)


def test_systems_are_side_by_side_and_marked_by_the_nearest_reference(comparison):
    heatmap = HeatMap(attention(1, 2, 3, 4), [], TOKENS, GRID)
    example = replace(
        comparison.examples[0],
        reference=["a thin blue ring", "one round thing"],
        outputs=["a thick blue ring", "one round object"],
        heatmaps=[None, heatmap],
        image=PIXELS,
    )
    page = comparison_page([replace(comparison, examples=[example])])
    assert "a <mark>thick</mark> blue ring" in page
    assert "one round <mark>object</mark>" in page
    assert page.index("a thin blue ring") < page.index("one round thing") < page.index('class="beside"')
    (beside,) = re.findall(r'<div class="beside">.*?</div>\s*</div>', page, re.DOTALL)
    assert beside.count("<svg ") == 1
    assert not re.search(r'href="(?!#|data:)', page)


def test_attention_is_told_in_words() -> None:
    heatmap = HeatMap(attention(9, 5, 5, 0), [], TOKENS, GRID)
    assert describe_attention(heatmap) == "a ← row 2, column 5; ring ← row 2, column 1; of 2 × 5"


def test_a_caption_without_words_has_no_maps() -> None:
    alone = draw_image_maps(np.zeros((8, 8, 3), np.uint8), [[0.25] * 4], ["</s>"], (2, 2))
    assert alone.body.count("<use") == 1
