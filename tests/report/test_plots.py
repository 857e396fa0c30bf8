from xml.etree import ElementTree

import pytest

from s2s.metrics.breakdown import Breakdown, Bucket
from s2s.report.plots import bar, svg_breakdown

SVG = "{http://www.w3.org/2000/svg}"
BUCKETS = [Bucket("1–19", 204, (94.4, 100.0), (3.0, 0.0)), Bucket("20–", 1, (45.0, 98.5), (9.0, 4.5))]


def of(*buckets: Bucket) -> Breakdown:
    return Breakdown("BLEU", "source length", buckets, "characters")


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
    found = bars(svg_breakdown(["weak", "strong"], of(*BUCKETS)))
    heights = [float(rect.get("height")) for rect in found]
    assert [round(height / heights[1], 3) for height in heights] == [0.944, 1.0, 0.45, 0.985]
    assert [rect.get("fill") for rect in found] == ["var(--series-0)", "var(--series-1)"] * 2


def test_axes_legend_and_counts_are_labelled():
    root = ElementTree.fromstring(svg_breakdown(["weak", "strong"], of(*BUCKETS)))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for expected in ("weak", "strong", "BLEU", "source length in characters", "1–19", "20–", "204 sentences",
                     "1 sentence", "94.4", "100"):  # fmt: skip
        assert expected in texts


def test_the_scale_fits_low_scores():
    svg = svg_breakdown(["a"], of(Bucket("1–", 5, (13.2,))))
    texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert "20" in texts
    assert "100" not in texts


def test_many_systems_stay_inside_the_picture():
    names = [f"system-{number}-with-a-long-name" for number in range(11)]
    svg = svg_breakdown(names, of(Bucket("1–9", 3, tuple(float(n) for n in range(11))), Bucket("10–", 3, (50.0,) * 11)))
    root = ElementTree.fromstring(svg)
    assert len(bars(svg)) == 22
    assert all(float(text.get("x")) + 6 * len(text.text) <= 790 for text in root.iter(f"{SVG}text"))


def test_names_are_escaped():
    svg = svg_breakdown(['<img src="x">'], of(Bucket("1–", 5, (13.2,))))
    assert "<img" not in svg
    assert ElementTree.fromstring(svg).get("aria-label") == 'BLEU by source length: <img src="x">'


def test_intervals_are_drawn_to_scale_and_stay_on_it():
    root = ElementTree.fromstring(svg_breakdown(["weak", "strong"], of(*BUCKETS)))
    drawn = [line for line in root.iter(f"{SVG}line") if line.get("class") == "interval"]
    heights = [float(line.get("y2")) - float(line.get("y1")) for line in drawn]
    assert heights == pytest.approx([250 * 0.06, 250 * 0.18, 250 * (0.045 + 0.015)], abs=0.02)
    assert min(float(line.get("y1")) for line in drawn) == 0


def test_long_labels_are_broken_into_lines():
    label = "over 80, longer than any in training"
    svg = svg_breakdown(["a"], of(*[Bucket(label, 5, (13.2,))] * 5))
    texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert label not in texts
    assert texts.count("over 80, longer") == texts.count("than any in") == texts.count("training") == 5


def test_long_names_are_broken_into_lines():
    root = ElementTree.fromstring(svg_breakdown(["a" * 50, "b"], of(*BUCKETS), narrow=True))
    named = [text for text in root.iter(f"{SVG}text") if set(text.text) in ({"a"}, {"b"})]
    assert [len(text.text) for text in named] == [44, 6, 1]
    assert len({text.get("y") for text in named}) == 3


def test_narrow_bars_are_horizontal_with_their_values():
    root = ElementTree.fromstring(svg_breakdown(["weak", "strong"], of(*BUCKETS), narrow=True))
    widths = [float(rect.get("width")) for rect in bars(ElementTree.tostring(root))]
    assert [round(width / widths[1], 3) for width in widths] == [0.944, 1.0, 0.45, 0.985]
    texts = {text.text: text for text in root.iter(f"{SVG}text")}
    assert {"94.4", "100.0", "45.0", "98.5", "1–19 (204\xa0sentences)", "20– (1\xa0sentence)"} <= texts.keys()
    drawn = [line for line in root.iter(f"{SVG}line") if line.get("class") == "interval"]
    ends = [(float(line.get("x1")), float(line.get("x2"))) for line in drawn]
    assert [round((right - left) / widths[1], 3) for left, right in ends] == [0.06, 0.18, 0.06]
    assert float(texts["100.0"].get("x")) > widths[1]
