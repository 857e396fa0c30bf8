from dataclasses import replace
from xml.etree import ElementTree

from s2s.report.picture import shown_attention, svg_picture
from s2s.report.plots import WIDTH
from s2s.report.svg import text_width

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


def test_long_texts_fit_the_picture(comparison):
    first, second = comparison.systems
    named = replace(second, name="numbers-attention-" + "x" * 46)
    task = f"{comparison.task}, overlap with the training of {', '.join(['some-system'] * 12)} not checked"
    root = ElementTree.fromstring(svg_picture(replace(comparison, task=task, systems=[first, named])))
    lines = [text for text in root.iter(f"{SVG}text") if text.get("class") == "muted" and text.get("x") == "20"]
    assert len(lines) > 1
    assert "".join("".join(text.text for text in lines).split()) == "".join(task.split())
    assert all(text_width(text.text) <= WIDTH for text in lines)
    [title] = [text for text in root.iter(f"{SVG}text") if text.text == f"attention of {named.name}"]
    assert float(title.get("x")) + text_width(title.text) < float(root.get("width"))


def test_the_best_system_that_attends_is_shown(make_comparison):
    name, heatmap, image = shown_attention(make_comparison(6))
    assert (name, image) == ("numbers-transformer-deep", None)
    assert len(heatmap.attention) == len(heatmap.target)
    assert shown_attention(make_comparison(1)) is None
