import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from s2s.report.page import comparison_page

VOID = {"meta", "br", "link", "img", "input"}


class Reader(HTMLParser):
    """Collects tags and text, and whether every element that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.mark.parametrize("systems", [1, 2, 3, 6])
def test_the_page_is_well_formed_and_tells_every_figure(make_comparison, systems):
    comparison = make_comparison(systems)
    reader = read(comparison_page([comparison]))
    assert reader.open == []
    text = " ".join(" ".join(reader.text).split())
    for system in comparison.systems:
        for expected in (system.name, f"{system.parameters:,}", f"{system.scores['bleu'].value:.1f}"):
            assert expected in text
    assert "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0" in text
    assert "s2s translate numbers-attention" in text
    assert reader.tags.count("svg") == 2 + (systems - 1)  # the plot, wide and narrow, and heat maps of attention


def test_differences_to_the_reference_are_marked(comparison):
    page = comparison_page([comparison])
    assert "January <mark>12</mark>, 2087" in page
    assert '<span class="missing" title="missing: and seven">…</span>' in page


def test_nothing_comes_from_elsewhere(comparison):
    page = comparison_page([comparison])
    reader = read(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not {"src", "href", "srcset", "xlink:href"} & {name for name, _ in reader.attributes}
    assert not re.search(r"url\(|@import|@font-face", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}


def test_light_and_dark(comparison):
    page = comparison_page([comparison])
    assert "prefers-color-scheme: dark" in page
    assert '<meta name="color-scheme" content="light dark">' in page


def test_all_text_is_escaped(make_comparison):
    evil = '<script>alert("x")</script>'
    comparison = make_comparison(2, source=evil, outputs=[f"twenty {evil}", evil])
    first, second = comparison.systems
    [example] = comparison.examples
    heatmap = replace(example.heatmaps[1], source=[evil] * 9, target=[evil] * 9)
    comparison = replace(
        comparison,
        title=evil, task=evil, notes=[evil], commands=[evil],
        systems=[replace(first, name=evil, network=evil), replace(second, name=f"b{evil}")],
        examples=[replace(example, reference=f"a {evil} b", heatmaps=[None, heatmap])],
    )  # fmt: skip
    page = comparison_page([comparison])
    reader = read(page)
    assert "script" not in reader.tags
    assert "alert" in "".join(reader.text)


def test_control_characters_are_made_visible(make_comparison):
    page = comparison_page([make_comparison(2, source="a\x1bb\x00c")])
    assert "a\ufffdb\ufffdc" in page


def test_parts_without_figures_are_left_out(comparison):
    page = comparison_page([replace(comparison, breakdowns=[], examples=[], notes=[], commands=[])])
    assert "<svg" not in page
    assert "<h2>" not in page


def test_several_test_sets_share_a_page(comparison):
    page = comparison_page([comparison, replace(comparison, task="news · 20 pairs")])
    assert read(page).open == []
    assert page.count("<h1>") == 1
    assert page.index(comparison.task) < page.index("news · 20 pairs")
    assert page.count("How to read the figures") == 1


def test_every_system_names_its_command_code_and_machine(comparison):
    text = " ".join(" ".join(read(comparison_page([comparison])).text).split())
    assert "s2s compare numbers/attention trained with s2s 0.1.0 (1a2b3c4d5e6f) on Linux x86_64 (avx2)" in text
