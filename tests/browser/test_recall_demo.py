"""The models in the page of the recall task: they answer in the browser as in PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from test_report import assert_all_is_seen

from s2s.cli.app import main
from s2s.data.generators.recall import recall_pairs
from s2s.decoding.loading import reference_translator
from s2s.recipe.kinds import GeneratorOptions
from s2s.registry.store import Registry

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SMALL = {
    "data.generator.train": 1000,
    "data.generator.validation": 10,
    "data.generator.test": 10,
    "data.generator.max_items": 20,
    "model.embedding_size": 12,
    "model.encoder.hidden_size": 10,
    "model.decoder.hidden_size": 14,
    "training.stop_after": "150 updates",
    "training.warmup": 10,
    "training.batch_tokens": 512,
    "training.lr": 0.02,
}
RECIPES = ("recall/bottleneck", "recall/attention")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with small models, and `report/report.html`, which compares them."""
    home = tmp_path_factory.mktemp("recall")
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(home))
        patch.setenv("S2S_LEASES", str(home / "leases"))
        assert main(["compare", *RECIPES, *settings, "--out", str(home / "report"), "--device", "cpu"]) == 0
    return home


@pytest.fixture
def address(home: Path) -> str:
    """Where the page lies."""
    return (home / "report").as_uri()


@pytest.fixture
def demo(page: "Page", address: str) -> "Page":
    """The page, loaded."""
    page.goto(f"{address}/report.html")
    page.locator("#demo").wait_for(state="visible")
    return page


def rounded_answers(reference: str, sources: list[str]) -> list[str]:
    """What a model with weights in half precision answers in PyTorch."""
    translator = reference_translator(Registry.default().resolve(reference), torch.device("cpu"))
    for parameter in translator.engine.model.parameters():
        parameter.data = parameter.data.half().float()
    return [one.text for one in translator.translate(sources)]


def test_page_answers_as_pytorch_does(demo: "Page", home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2S_HOME", str(home))
    pairs = recall_pairs(GeneratorOptions(name="recall", seed=7, train=1, validation=1, test=200, max_items=497))
    sources = [source for source, _ in pairs["test"]]
    assert max(len(source.split()) for source in sources) == 999
    answers = demo.evaluate(
        """(sources) => sources.map((source) => {
          const area = document.getElementById("demo-source");
          area.value = source;
          area.dispatchEvent(new Event("input"));
          return [...document.querySelectorAll("#demo .answer")].map((one) => one.textContent.trim());
        })""",
        sources,
    )
    for place, reference in enumerate(("recall-bottleneck", "recall-attention")):
        expected = rounded_answers(reference, sources)
        assert [answer[place] for answer in answers] == expected
        assert len(set(expected)) > 50


def test_answers_are_marked_and_counted(demo: "Page") -> None:
    demo.locator("#demo-source").fill("k1 v2 k3 v4 k5 v6 ? k5 k1 k9")
    assert demo.locator("#demo-right").inner_text() == "k5 v6 k1 v2 k9 –"
    for model in (1, 2):
        area = demo.locator(f"#demo-model-{model}")
        answer, wrong = area.locator(".answer").inner_text().split(), area.locator("mark").all_inner_texts()
        right = ["k5", "v6", "k1", "v2", "k9", "–"]
        expected = [word for place, word in enumerate(answer) if right[place : place + 1] != [word]]
        assert wrong == expected
        correct = sum(answer[place : place + 1] == [right[place]] for place in (1, 3, 5))
        assert area.locator(".figures").inner_text() == f"{correct} of 3 values correct"


def test_attention_is_shown_for_each_word(demo: "Page") -> None:
    demo.locator("#demo-source").fill("k1 v2 k3 v4 k5 v6 ? k5 k1 k3")
    bottleneck, attention = (demo.locator(f"#demo-model-{place}") for place in (1, 2))
    assert bottleneck.locator(".looked li").count() == 0
    words = attention.locator(".answer").inner_text().split()
    rows = attention.locator(".looked li").all_inner_texts()
    assert [row.split()[0] for row in rows] == words[:20]
    assert all("% at" in row for row in rows)


def test_length_and_text_of_the_source_can_change(demo: "Page") -> None:
    assert demo.locator("#demo-count").inner_text() == "29 tokens"
    first = demo.locator("#demo-source").input_value()
    demo.locator("#demo-new").click()
    assert demo.locator("#demo-source").input_value() != first
    demo.locator("#demo-length").press("End")
    assert demo.locator("#demo-count").inner_text() == "999 tokens"
    demo.locator("#demo-length").press("Home")
    assert demo.locator("#demo-count").inner_text() == "10 tokens"
    demo.locator("#demo-source").fill("k1 v1 <b>k2</b> ? k1")
    assert demo.locator("#demo-unknown").inner_text() == "Unknown words: <b>k2</b>"
    demo.locator("#demo-source").fill("")
    assert demo.locator("#demo .answer").all_inner_texts() == ["", ""]


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_or_overlaps(demo: "Page", width: int) -> None:
    demo.set_viewport_size({"width": width, "height": 844})
    for key in ("Home", "End"):
        demo.locator("#demo-length").press(key)
        demo.evaluate("scrollTo(0, 0)")  # or the heads of the table, which stay in sight, cover parts of it
        assert_all_is_seen(demo)


def test_paper_has_no_demo(demo: "Page") -> None:
    demo.emulate_media(media="print")
    assert not demo.locator("#demo").is_visible()
