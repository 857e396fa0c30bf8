from xml.etree import ElementTree

import pytest

from s2s.metrics.length_buckets import LengthBucket, LengthBuckets
from s2s.report.plots import bar, svg_by_length

SVG = "{http://www.w3.org/2000/svg}"
BUCKETS = [LengthBucket(1, 19, 204, (94.4, 100.0)), LengthBucket(20, None, 1, (45.0, 98.5))]


def of(*buckets: LengthBucket) -> LengthBuckets:
    return LengthBuckets("BLEU", "characters", buckets)


@pytest.mark.parametrize(
    ("value", "drawn"),
    [(100, "████"), (0, ""), (50, "██"), (28.1, "█▏"), (59.4, "██▍"), (140, "████"), (-3, ""), (float("nan"), "")],
)
def test_bars_are_exact_to_an_eighth(value, drawn):
    assert bar(value, 100, 4) == drawn


def test_a_bar_on_an_empty_scale_is_empty():
    assert bar(0, 0, 5) == ""


def bars(svg):
    return [rect for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]


def test_heights_are_proportional_and_each_system_has_its_colour():
    found = bars(svg_by_length(["weak", "strong"], of(*BUCKETS)))
    heights = [float(rect.get("height")) for rect in found]
    assert [round(height / heights[1], 3) for height in heights] == [0.944, 1.0, 0.45, 0.985]
    assert [rect.get("fill") for rect in found] == ["var(--series-0)", "var(--series-1)"] * 2


def test_axes_legend_and_counts_are_labelled():
    root = ElementTree.fromstring(svg_by_length(["weak", "strong"], of(*BUCKETS)))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for expected in ("weak", "strong", "BLEU", "source length in characters", "1–19", "20–", "204 sentences",
                     "1 sentence", "94.4", "100"):  # fmt: skip
        assert expected in texts


def test_the_scale_fits_low_scores():
    svg = svg_by_length(["a"], of(LengthBucket(1, None, 5, (13.2,))))
    texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert "20" in texts
    assert "100" not in texts


def test_many_systems_stay_inside_the_picture():
    names = [f"system-{number}-with-a-long-name" for number in range(11)]
    svg = svg_by_length(
        names, of(LengthBucket(1, 9, 3, tuple(float(n) for n in range(11))), LengthBucket(10, None, 3, (50.0,) * 11))
    )
    root = ElementTree.fromstring(svg)
    assert len(bars(svg)) == 22
    assert all(float(text.get("x")) + 6 * len(text.text) <= 790 for text in root.iter(f"{SVG}text"))


def test_names_are_escaped():
    svg = svg_by_length(['<img src="x">'], of(LengthBucket(1, None, 5, (13.2,))))
    assert "<img" not in svg
    assert ElementTree.fromstring(svg).get("aria-label") == 'BLEU by source length: <img src="x">'
