"""The page of `s2s compare` in a browser: nothing cut, nothing overlapping, on screens and on paper."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from made_comparisons import made_comparison, made_heatmap
from test_page import CONTRASTS

from s2s.metrics.breakdown import Breakdown, Bucket
from s2s.metrics.variance import Estimate
from s2s.report.figures import Comparison, Example, ExtraScore, HeatMap, NgramDifference
from s2s.report.page import comparison_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

WORD = "Donaudampfschifffahrtsgesellschaftskapitän" * 5
MARKUP = "</title></style><script>document.title = 'changed'</script><img src=x onerror=alert(1)> <b>bold</b> &amp;"
ARABIC = "رجل يجلس على كرسي في الحديقة ويقرأ كتابا"
CHINESE = "一个男人坐在公园的椅子上看书" * 4
CONTROL = "\x1b[31mred\x00\x85 \u202egnihtemos\u2066 \u200f\n\tnext"
HOSTILE = (WORD, MARKUP, ARABIC, CHINESE, CONTROL, "x" * 64, "a-b" * 30, "﷽" * 4)
LABELS = ("not in training", "once to 4 times", "5 to 80", "over 80, longer than any in training")
HOUSE = "the man with the blue shirt sat down on a small chair in front of the house"
TITLES = ("example", "the longest source", *(f"a large win of numbers-attention (chrF2 {n} → 97)" for n in range(10)))


def breakdowns(systems: int) -> list[Breakdown]:
    """Scores by properties with long labels, one of them without intervals."""
    values = tuple(100 - 7.25 * place for place in range(systems))
    buckets = [Bucket(label, 1234 if label == LABELS[0] else 1, values, (2.5,) * systems) for label in LABELS]
    counted = [Bucket(label, 98_765, values) for label in ("1–4", "5–19", "20–99", "100–999", "1,000 or more", "none")]
    return [
        Breakdown("BLEU", "source length", buckets, "characters"),
        Breakdown("% of values correct, given their keys", "source length", counted, "tokens"),
        Breakdown("BLEU", "overlap with training", buckets),
        Breakdown("F1 of words", "frequency in training", counted, counted="words"),
    ]


def ngrams(names: Sequence[str], text: str) -> list[NgramDifference]:
    """N-grams of the first and the last system."""
    return [
        NgramDifference(
            f"{text} {count}", (names[0], names[-1]), name, ((1_204, count), (0, 12)), f"{count} {text} und so weiter"
        )
        for name in (names[0], names[-1])[: len(names)]
        for count in range(1, 5)
    ]


def full(systems: int) -> Comparison:
    """A comparison with all that a page can have."""
    comparison = made_comparison(systems)
    names = [system.name for system in comparison.systems]
    [example] = comparison.examples
    tokens = [f"▁{word}" for word in HOUSE.split()]
    wide = made_heatmap(tokens * 2, tokens, range(len(tokens)))
    found = [
        replace(example, source=text, reference=text, outputs=[text.replace("e", "a")] * systems, title=title,
                heatmaps=[wide] * systems if title == TITLES[1] else ())
        for title, text in zip(TITLES[1:], [WORD, ARABIC, CHINESE, "a short one"] * 3, strict=False)
    ]  # fmt: skip
    return replace(
        comparison,
        systems=[
            replace(
                system, seeds=3, deviations={"bleu": 0.42, "chrf": 0.3},
                extra={"COMET": ExtraScore(0.8412, Estimate(-0.0123, 0.004, None, None) if place else None)},
                faults={"repetition": 12.0 * place}, attention={"coverage": 97.31} if place else {},
            )
            for place, system in enumerate(comparison.systems)
        ],
        breakdowns=breakdowns(systems),
        examples=[replace(example, title=TITLES[0]), *found],
        ngrams=ngrams(names, "vier"),
        notes=["decoded greedily", "the recipes differ in model.decoder.context: fixed | attention"],
    )  # fmt: skip


def of_images(systems: int) -> Comparison:
    """A comparison of captions."""
    comparison = made_comparison(systems)
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    tokens = ["▁a", "▁red", "▁circle", "▁left", "▁of", "▁a", "▁blue", "▁trap", "ezium", "</s>"]
    heatmap = HeatMap(np.eye(12)[: len(tokens)].tolist(), [], tokens, (3, 4))
    example = Example(
        "scene 7: circle red, trapezium blue", ["a red circle left of a blue trapezium", "two shapes"],
        ["a red circle"] * systems, [None, *[heatmap] * (systems - 1)], TITLES[0], pixels,
    )  # fmt: skip
    return replace(comparison, examples=[replace(example, title=title) for title in TITLES[:5]])


def hostile(systems: int) -> Comparison:
    """A comparison whose texts break out of a page that lets them."""
    comparison = full(systems)
    texts = [*HOSTILE[-systems:]]
    shown = [
        replace(
            system, name=f"{text}{place}", network=WORD, command=f"s2s compare {WORD} --set '{MARKUP}' {ARABIC}",
            code=MARKUP, machine=CONTROL, extra={f"COMET {WORD}": ExtraScore(0.8412, None)},
        )
        for place, (system, text) in enumerate(zip(comparison.systems, texts, strict=True))
    ]  # fmt: skip
    names = [system.name for system in shown]
    looking = made_heatmap(HOSTILE, HOSTILE, range(len(HOSTILE)))
    examples = [
        Example(text, [text, f"{text} {WORD}"], [f"{text} {other}" for other in texts],
                [looking] * systems if text == WORD else (), text)
        for text in HOSTILE
    ]  # fmt: skip
    return replace(
        comparison, title=" ".join(HOSTILE), task=" · ".join(HOSTILE), systems=shown, examples=examples, notes=HOSTILE,
        commands=HOSTILE, ngrams=ngrams(names, MARKUP) + ngrams(names, WORD) + ngrams(names, ARABIC),
    )  # fmt: skip


PAGES: dict[str, Callable[[], list[Comparison]]] = {
    "one system": lambda: [full(1)],
    "two systems": lambda: [full(2)],
    "three systems": lambda: [full(3)],
    "eight systems": lambda: [full(8)],
    "two systems on images": lambda: [of_images(2)],
    "eight systems on images": lambda: [of_images(8)],
    "three test sets": lambda: [full(2), replace(full(2), task="news · 20 pairs"), replace(full(2), task="books")],
    "hostile texts": lambda: [hostile(3), replace(hostile(3), task=WORD)],
    "hostile texts of eight systems": lambda: [hostile(8)],
}


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Where the page lies."""
    return tmp_path.as_uri()


def opened(page: "Page", directory: Path, name: str) -> None:
    """Write and open a page."""
    (directory / "report.html").write_text(comparison_page(PAGES[name]()), encoding="utf-8")
    page.goto((directory / "report.html").as_uri())


def unfold(page: "Page") -> None:
    """Show all that is folded."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")


def assert_all_is_seen(page: "Page") -> None:
    """Fail if something is cut, outside the window, or upon something else."""
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPPING) == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_or_overlaps(page: "Page", tmp_path: Path, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    opened(page, tmp_path, name)
    assert_all_is_seen(page)
    unfold(page)
    assert_all_is_seen(page)


@pytest.mark.parametrize("name", PAGES)
def test_paper_shows_everything(page: "Page", tmp_path: Path, name: str) -> None:
    page.set_viewport_size({"width": 718, "height": 1046})  # A4 without Chromium's margins
    page.emulate_media(media="print", color_scheme="dark")
    opened(page, tmp_path, name)
    assert page.locator("details:not([open])").count() > 0
    assert page.evaluate(FOLDED) == []
    assert_all_is_seen(page)
    assert {text: ratio for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5} == {}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["three test sets", "eight systems", "eight systems on images"])
def test_report_has_contrast(page: "Page", tmp_path: Path, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, tmp_path, name)
    unfold(page)
    measured = page.evaluate(CONTRASTS)
    assert len(measured) > 200
    assert {text: round(ratio, 2) for text, ratio in measured if ratio < 4.5} == {}


@pytest.mark.parametrize("name", ["hostile texts", "hostile texts of eight systems"])
def test_hostile_texts_stay_text(page: "Page", tmp_path: Path, name: str) -> None:
    opened(page, tmp_path, name)
    assert page.title().startswith(WORD)
    assert page.locator("script, img, b, main style:not(svg style)").count() == 0
    assert MARKUP in page.locator("h1").inner_text()
    shown = page.evaluate("document.documentElement.textContent")
    assert not {*"\0\x1b\u202e\u2066"} & {*shown}


def test_systems_lead_to_their_commands(page: "Page", tmp_path: Path) -> None:
    opened(page, tmp_path, "two systems")
    page.locator("thead").first.get_by_role("link", name="numbers-attention").click()
    target = page.locator(":target")
    assert "s2s compare numbers/attention" in target.inner_text()
    assert "trained with s2s 0.1.0 (1a2b3c4d5e6f)" in target.inner_text()


def test_figures_are_told_in_words(page: "Page", tmp_path: Path) -> None:
    opened(page, tmp_path, "two systems")
    for image in page.get_by_role("img").all():
        assert image.get_attribute("aria-label")
    attention = page.locator("svg[aria-label='Attention of numbers-attention'] desc")
    assert "▁twenty ← zwanzig 69 %" in (attention.first.text_content() or "")
    page.get_by_text("Figures of the plot", exact=True).first.click()
    assert page.get_by_role("cell", name="92.8 ± 2.5").count() == len(LABELS)


# Elements whose content is wider than they are, elements and texts of drawings that end outside of what shows them, and
# drawings that are too small to be read.
CUT = """() => {
  const found = [];
  const tell = (one) => `<${one.tagName} class=${one.getAttribute("class")}> ${one.textContent.trim().slice(0, 40)}`;
  for (const one of document.querySelectorAll("body, body *")) {
    if (!one.checkVisibility()) continue;
    const box = one.getBoundingClientRect();
    if (!one.ownerSVGElement && one.scrollWidth > one.clientWidth && one.clientWidth) found.push(`cut: ${tell(one)}`);
    if (box.width && (box.left < -0.5 || box.right > innerWidth + 0.5)) found.push(`outside: ${tell(one)}`);
    if (one instanceof SVGSVGElement && box.width < 0.85 * one.width.baseVal.value) found.push(`small: ${tell(one)}`);
    if (one instanceof SVGTextElement) {
      const paper = one.ownerSVGElement.getBoundingClientRect();
      if (box.left < paper.left - 1 || box.right > paper.right + 1 || box.bottom > paper.bottom + 1)
        found.push(`outside of the drawing: ${tell(one)}`);
    }
  }
  return found;
}"""

# Pairs of texts that cover each other, by more than what lines of different scripts share.
OVERLAPPING = """() => {
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const [node, parent] = [walker.currentNode, walker.currentNode.parentElement];
    if (!node.data.trim() || !parent.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const own = parent instanceof SVGElement ? [parent.getBoundingClientRect()] : range.getClientRects();
    for (const box of own) boxes.push([box, node]);
  }
  boxes.sort(([one], [other]) => one.top - other.top);
  const found = [];
  boxes.forEach(([one, node], place) => {
    for (const [other, text] of boxes.slice(place + 1)) {
      if (other.top > one.bottom - 3) break;
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      if (across > 2 && Math.min(one.bottom, other.bottom) - other.top > 3)
        found.push([node.data.trim().slice(0, 40), text.data.trim().slice(0, 40)]);
    }
  });
  return found;
}"""

# Content of <details> that is not shown.
FOLDED = """() => [...document.querySelectorAll("details > :not(summary)")]
  .filter((one) => !one.checkVisibility()).map((one) => one.textContent.trim().slice(0, 40))"""
