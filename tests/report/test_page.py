import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from s2s._version import __version__
from s2s.report.figures import HeatMap, NgramDifference
from s2s.report.page import comparison_page
from s2s.report.table import table

VOID = {"meta", "img"}


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
    assert 'title="missing: and seven">…</span>' in page


def test_nothing_comes_from_elsewhere(comparison):
    page = comparison_page([comparison])
    reader = read(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not {"src", "srcset", "xlink:href"} & {name for name, _ in reader.attributes}
    assert {value for name, value in reader.attributes if name == "href"} == {"#system-1", "#system-2"}
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
    assert re.findall(r"<h2>(.*)</h2>", page) == ["How to repeat these figures"]


def test_several_test_sets_share_a_page(comparison):
    page = comparison_page([comparison, replace(comparison, task="news · 20 pairs")])
    assert read(page).open == []
    assert page.count("<h1 ") == 1
    assert re.findall(r"<h2.*>(.*)</h2>", page)[:2] == ["numbers", "news"]
    assert page.index('href="#test-2"><bdi>news</bdi></a>') < page.index('id="test-1"') < page.index('id="test-2"')
    assert page.index("none of them in training") < page.index('<p class="task" dir="auto">20 pairs</p>')
    for once in ("How to read the figures", "How to repeat these figures", "s2s compare numbers/attention"):
        assert page.count(once) == 1


def test_every_system_names_its_command_code_and_machine(comparison):
    text = " ".join(" ".join(read(comparison_page([comparison])).text).split())
    assert "s2s compare numbers/attention trained with s2s 0.1.0 (1a2b3c4d5e6f) on Linux x86_64 (avx2)" in text
    assert f"Compared with s2s {__version__}" in text


@pytest.mark.parametrize("systems", [2, 4])
def test_rows_are_in_groups_whatever_these_are(make_comparison, monkeypatch, systems):
    comparison = make_comparison(systems)
    rows = [replace(row, group="heads") if row.label == "updates" else row for row in table(comparison)]
    monkeypatch.setattr("s2s.report.page.table", lambda comparison: rows)
    page = comparison_page([comparison])
    titles = re.findall(r"<(?:caption|th scope=\"rowgroup\"[^>]*)>(.*?)</(?:caption|th)>", page)
    difference = "Difference in BLEU from <bdi>numbers-bottleneck</bdi>"
    assert [title for title in titles if "by" not in title] == ["Model", "Scores", difference, "Heads", "Training"]


def test_examples_after_the_third_are_folded(comparison):
    [example] = comparison.examples
    five = [replace(example, title=f"the {count} one", source=f"quelle {count}") for count in range(1, 6)]
    page = comparison_page([replace(comparison, examples=five)])
    assert re.findall(r"<h3.*>(The .*)</h3>", page) == ["The 1 one", "The 2 one", "The 3 one"]
    assert re.findall(r"<summary.*>(The .*): <span>(.*)</span>", page) == [
        ("The 4 one", "quelle 4"), ("The 5 one", "quelle 5"),
    ]  # fmt: skip


def test_ngrams_of_each_system_have_a_table(comparison):
    first, second = (system.name for system in comparison.systems)
    ngrams = [
        NgramDifference("and seven", (first, second), second, ((0, 12), (1_345, 0)), "four hundred and seven"),
        NgramDifference("<b>", (first, second), first, ((0, 3), (0, 0)), "<b> of it"),
    ]
    text = " ".join(" ".join(read(comparison_page([replace(comparison, ngrams=ngrams)])).text).split())
    own, other = (text.index(f"{name} writes") for name in (first, second))
    assert own < text.index("<b> 0 3 0 0 <b> of it") < other < text.index("and seven 0 12 1,345 0 four hundred and")


def test_plots_have_tables_and_those_of_other_properties_are_narrow(make_comparison):
    for systems in (2, 5):
        comparison = make_comparison(systems)
        [figure] = comparison.breakdowns
        page = comparison_page([replace(comparison, breakdowns=[figure, replace(figure, by="overlap")])])
        assert re.findall(r'viewBox="0 0 (\d+) \d+".*aria-label="BLEU by (\w+)', page) == [
            ("760", "source"), ("340", "source"), ("340", "overlap"),
        ]  # fmt: skip
        assert page.count('<td data-label="numbers-bottleneck">94.4 ± 1.5</td>') == (2 if systems == 2 else 0)
        assert page.count('<td data-label="1–19">94.4 ± 1.5</td>') == (0 if systems == 2 else 2)


def test_attention_that_does_not_fit_a_telephone_is_drawn_for_it(comparison):
    [example] = comparison.examples
    heatmap = HeatMap([[1 / 31] * 31] * 2, [f"▁{number}" for number in range(31)], ["▁a", "▁b"])
    page = comparison_page([replace(comparison, examples=[replace(example, heatmaps=[None, heatmap])])])
    widths = [float(width) for width in re.findall(r'viewBox="0 0 ([\d.]+) [\d.]+".*aria-label="Attention', page)]
    assert len(widths) == 2
    assert widths[1] <= 340 < widths[0]
