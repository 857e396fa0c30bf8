from dataclasses import replace
from xml.etree import ElementTree

from s2s.report.picture import shown_attention, svg_picture

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_shows_bars_and_the_attention_beside_them(comparison):
    svg = svg_picture(comparison)
    found = texts(svg)
    assert "BLEU by source length" in found
    assert comparison.task in found
    assert "attention of numbers-attention" in found
    assert "▁twenty" in found
    narrow = svg_picture(replace(comparison, examples=[]))
    assert float(ElementTree.fromstring(narrow).get("width")) < float(ElementTree.fromstring(svg).get("width"))
    assert "attention of numbers-attention" not in texts(narrow)


def test_the_best_system_that_attends_is_shown(make_comparison):
    name, heatmap, image = shown_attention(make_comparison(6))
    assert (name, image) == ("numbers-transformer-deep", None)
    assert len(heatmap.attention) == len(heatmap.target)
    assert shown_attention(make_comparison(1)) is None
