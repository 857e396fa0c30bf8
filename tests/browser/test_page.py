"""The page of `s2s serve` in a browser."""

import io
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect
from stand_in import StandIn

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

NO_ATTENTION = "No attention: this model writes its whole output from one fixed vector of the source."
SENTENCE = "ein mann in einem blauen hemd steht auf einer leiter"


def picture() -> bytes:
    """Return a picture in PNG: a red circle and a blue square."""
    image = Image.new("RGB", (480, 320), "#f2ead8")
    draw = ImageDraw.Draw(image)
    draw.ellipse((110, 70, 190, 150), fill="#c8372d")
    draw.rectangle((270, 170, 350, 250), fill="#2d5cc8")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def link(server: StandIn, *models: str, text: str = SENTENCE) -> str:
    """Return the address of the page with models and text."""
    return f"{server.url}/#{urlencode({'models': ','.join(f'{one}:1' for one in models), 'text': text})}"


def cell(page: "Page", model: str) -> "Locator":
    """Return the first output of a model."""
    return page.locator(f"article[data-model='{model}:1']").first


def translated(page: "Page", server: StandIn, *models: str, text: str = SENTENCE) -> None:
    """Open the page with models and text, and press the button."""
    page.goto(link(server, *models, text=text))
    page.get_by_role("button", name="Translate").click()


def described(page: "Page", server: StandIn) -> None:
    """Open the page with two models that describe pictures, choose a picture and press the button."""
    page.goto(link(server, "scenes-attention", "scenes-bottleneck", text=""))
    page.locator("#file").set_input_files({"name": "scene.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_role("button", name="Describe").click()


def weight(word: "Locator") -> float:
    """Return how much a source word, or a cell of a heat map, is shaded, from 0 to 1."""
    return float(word.evaluate("span => span.style.getPropertyValue('--weight') || 0"))


def test_two_models_side_by_side(page: "Page", server: StandIn) -> None:
    page.goto(server.url)
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    page.get_by_label("Text one sentence").fill("ein mann in einem hemd\nzwei hunde rennen")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_text("2 of 2 models answered.")
    expect(page.get_by_role("article")).to_have_count(4)
    expect(cell(page, "m30k-attention")).to_contain_text("a man in a shirt")
    expect(cell(page, "m30k-attention")).to_contain_text("−0.21 average log-probability")
    expect(cell(page, "m30k-bottleneck")).to_contain_text("cut off at the length limit")
    expect(cell(page, "m30k-bottleneck")).to_contain_text(NO_ATTENTION)
    left, right = (cell(page, name).bounding_box() for name in ("m30k-attention", "m30k-bottleneck"))
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]


def test_at_most_four_models(page: "Page", server: StandIn) -> None:
    page.goto(link(server, "m30k-attention", "m30k-bottleneck", "m30k-transformer"))
    page.get_by_role("checkbox", name="copying:1").check()
    expect(page.get_by_role("checkbox", name="too-large:1")).to_be_disabled()
    page.get_by_role("checkbox", name="copying:1").uncheck()
    expect(page.get_by_role("checkbox", name="too-large:1")).to_be_enabled()


def test_link_has_models_and_text(page: "Page", server: StandIn) -> None:
    page.goto(server.url)
    page.get_by_role("checkbox", name="m30k-transformer:1").check()
    page.get_by_label("Text one sentence").fill("100 % & mehr #1")
    other = page.context.new_page()
    other.goto(page.evaluate("location.href"))
    expect(other.get_by_label("Text one sentence")).to_have_value("100 % & mehr #1")
    expect(other.get_by_role("checkbox", checked=True)).to_have_count(3)
    other.goto(link(server, "gone"))
    expect(other.get_by_text("Not in this registry: gone:1")).to_be_visible()


def test_pointer_shows_attention(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention")
    output = cell(page, "m30k-attention")
    source = output.locator(".source-word")
    output.get_by_role("option", name="shirt").hover()
    expect(output.locator(".looked")).to_contain_text("shirt ← hemd 54 %")
    expect(output.locator(".source")).to_have_text(f"{SENTENCE} </s>")
    assert weight(source.nth(5)) > 2 * weight(source.nth(4)) > 2 * weight(source.nth(3)) > 0
    page.mouse.move(0, 0)
    expect(output.locator(".looked")).to_contain_text("Point at a word")
    assert weight(source.nth(5)) == 0


def test_tokens_make_up_words(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention", text="jahrhundert und")
    output = cell(page, "m30k-attention")
    expect(output.get_by_role("option")).to_have_text(["century", "and"])
    expect(output.locator(".source-word")).to_have_text(["jahrhundert", "und", "</s>"])
    output.get_by_role("option", name="century").hover()
    expect(output.locator(".looked")).to_have_text("century ← jahrhundert 72 %, und 22 %, </s> 6 %")


def test_scripts_without_spaces_show_tokens(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention", text="北京 und")
    expect(cell(page, "m30k-attention").get_by_role("option")).to_have_text(["北", "京", "and"])
    expect(cell(page, "m30k-attention").locator(".output")).to_have_text("北京 and")


def test_heat_map(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention", "m30k-bottleneck", text="ein mann")
    output = cell(page, "m30k-attention")
    output.get_by_text("Heat map").click()
    expect(output.locator(".heat-map tbody th")).to_have_text(["a", "man", "</s>"])
    second = output.locator(".heat-map tbody tr").nth(1).locator("td")
    expect(second.nth(1)).to_have_attribute("title", "man ← mann 63\u00a0%")
    assert weight(second.nth(1)) > 2 * weight(second.nth(0)) > 0
    expect(cell(page, "m30k-bottleneck").get_by_text("Heat map")).to_have_count(0)


def test_lines_are_translated_whole_by_every_model(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention", "m30k-bottleneck", text="ein mann. zwei hunde.")
    cell(page, "m30k-bottleneck").get_by_text("Alternatives").click()
    expect(cell(page, "m30k-bottleneck").get_by_role("listitem")).to_have_count(5)
    assert [(body["text"], body["split"]) for body in server.bodies] == [(["ein mann. zwei hunde."], "off")] * 3


@pytest.mark.parametrize(("words", "shown"), [(570, True), (700, False)])
def test_long_lines(page: "Page", server: StandIn, words: int, shown: bool) -> None:
    translated(page, server, "m30k-attention", text=" ".join(["hunde"] * words))
    expect(page.locator("#status")).to_have_text("1 of 1 model answered.")
    expect(cell(page, "m30k-attention").get_by_role("option")).to_have_count(words if shown else 0)
    expect(cell(page, "m30k-attention").get_by_text("Attention is shown for up to")).to_have_count(0 if shown else 1)
    expect(cell(page, "m30k-attention").get_by_text("Heat map")).to_have_count(0)


def test_keyboard_shows_attention(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention")
    output = cell(page, "m30k-attention")
    options = output.get_by_role("option")
    expect(options).to_have_count(10)
    options.first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(options.nth(5)).to_be_focused()
    expect(options.nth(5)).to_have_attribute("aria-selected", "true")
    expect(output.locator(".looked")).to_contain_text("shirt ← hemd 54 %")
    page.keyboard.press("Tab")
    expect(output.get_by_text("Heat map")).to_be_focused()
    expect(output.locator(".looked")).to_contain_text("shirt ← hemd 54 %")


def test_alternatives(page: "Page", server: StandIn) -> None:
    translated(page, server, "m30k-attention", text="zwei hunde\nein mann")
    second = page.locator("article").nth(1)
    second.get_by_text("Alternatives").click()
    expect(second.get_by_role("listitem")).to_have_count(5)
    expect(second.get_by_role("listitem").nth(1)).to_contain_text("a man (1)")
    assert server.bodies[-1]["text"] == ["ein mann"]
    assert server.bodies[-1]["beam_size"] == server.bodies[-1]["nbest"] == 5


def test_chosen_picture_and_where_a_token_looked(page: "Page", server: StandIn) -> None:
    described(page, server)
    output = cell(page, "scenes-attention")
    output.get_by_role("option", name="circle").hover()
    expect(output.locator(".looked")).to_contain_text("circle ← most at row 3, column 2 of 8 × 8")
    veil = output.locator("canvas").evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data]")[
        3::4
    ]
    assert veil[2 * 8 + 1] < 20
    assert veil[6 * 8 + 6] > 150
    expect(cell(page, "scenes-bottleneck")).to_contain_text(NO_ATTENTION)


def test_dropped_picture(page: "Page", server: StandIn) -> None:
    page.goto(server.url)
    expect(page.get_by_role("button", name="Translate")).to_be_visible()
    transfer = page.evaluate_handle(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
          return transfer;
        }""",
        list(picture()),
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("dropped.png")).to_be_visible()
    page.get_by_role("button", name="Describe").click()
    expect(cell(page, "scenes-attention")).to_contain_text("a red circle left of a blue square")


def test_errors_are_shown_in_place(page: "Page", server: StandIn) -> None:
    translated(page, server, "too-large", "m30k-attention")
    error = cell(page, "too-large").get_by_role("alert")
    expect(error).to_contain_text("too-large:1 needs 31.0 GiB")
    expect(error).to_contain_text("s2s serve --memory 32GiB")
    expect(cell(page, "m30k-attention")).to_contain_text("a man in a blue shirt")
    expect(page.locator("#status")).to_have_text("1 of 2 models answered, 1 failed.")


def test_markup_in_outputs_is_text(page: "Page", server: StandIn) -> None:
    attack = "<img src=x onerror=alert(1)> <script>document.title='changed'</script> <b>bold</b>"
    translated(page, server, "copying", "m30k-attention", text=attack)
    expect(cell(page, "copying").locator(".output")).to_have_text(attack)
    expect(cell(page, "m30k-attention").locator(".output")).to_have_text(attack)
    assert page.locator("#rows script, #rows img, #rows .output b").count() == 0
    assert page.title() == "s2s"


def test_loading_can_be_cancelled(page: "Page", server: StandIn) -> None:
    server.answering.clear()
    translated(page, server, "m30k-bottleneck")
    expect(cell(page, "m30k-bottleneck")).to_contain_text("Loading the model, 1 s")
    page.get_by_role("button", name="Cancel").click()
    expect(cell(page, "m30k-bottleneck")).to_contain_text("Cancelled")
    server.answering.set()
    expect(page.get_by_role("button", name="Translate")).to_be_focused()
    page.keyboard.press("Enter")
    expect(cell(page, "m30k-bottleneck")).to_contain_text("repeats itself")


def test_token_is_asked_for_and_kept_in_the_tab(page: "Page", server: StandIn) -> None:
    server.token = "secret"
    page.goto(server.url)
    for token in ("wrong", "secret"):
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Continue").click()
        if token == "wrong":
            expect(page.get_by_text("The server did not accept this token.")).to_be_visible()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    expect(page.get_by_label("Token")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    kept = page.evaluate("[localStorage.length, document.cookie, location.href.includes('secret')]")
    assert kept == [0, "", False]


def test_tokens_that_no_request_can_carry(page: "Page", server: StandIn) -> None:
    server.token = "secret"
    page.goto(server.url)
    page.get_by_label("Token").fill("secret…")
    page.get_by_role("button", name="Continue").click()
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("Token").fill(" secret ")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)


def test_empty_registry(page: "Page", server: StandIn) -> None:
    server.models = []
    page.goto(server.url)
    expect(page.get_by_text("s2s train numbers/attention")).to_be_visible()
    expect(page.get_by_role("button", name="Translate")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 390])
def test_narrow_screens_need_no_horizontal_scrolling(page: "Page", server: StandIn, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    translated(page, server, "m30k-attention", "copying", text=f"{SENTENCE}\n{'Donaudampfschiff' * 12}")
    cell(page, "m30k-attention").get_by_role("option").first.focus()
    expect(cell(page, "copying")).to_contain_text("copied")
    cell(page, "m30k-attention").get_by_text("Heat map").click()  # which may not move when the focus leaves the word
    expect(cell(page, "m30k-attention").locator(".heat-map")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    first, second = (cell(page, name).bounding_box() for name in ("m30k-attention", "copying"))
    assert first
    assert second
    assert second["y"] >= first["y"] + first["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(page: "Page", server: StandIn, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    translated(page, server, "m30k-attention", "m30k-bottleneck", "too-large")
    expect(cell(page, "m30k-bottleneck")).to_contain_text("repeats itself")
    cell(page, "m30k-attention").get_by_text("Heat map").click()
    cell(page, "m30k-attention").get_by_role("option").first.focus()
    measured = page.evaluate(CONTRASTS)
    assert len(measured) > 30
    assert {text: round(ratio, 2) for text, ratio in measured if ratio < 4.5} == {}
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 247, 249)", "dark": "rgb(13, 17, 23)"}[scheme]


# The contrast of each text that is shown with what is behind it, by the formula of WCAG 2.
CONTRASTS = """() => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const opaque = (colours) => {
    for (const colour of colours) { pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1); }
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((one) => one / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const [text, parent] = [walker.currentNode.data.trim(), walker.currentNode.parentElement];
    if (!text || !parent.checkVisibility() || parent.closest("label:has(:disabled)")) continue;
    const behind = [];
    for (let one = parent; one; one = one.parentElement) behind.unshift(getComputedStyle(one).backgroundColor);
    const ink = getComputedStyle(parent)[parent instanceof SVGElement ? "fill" : "color"];
    const colours = [opaque(behind), opaque([...behind, ink])].map(luminance);
    found.push([text, (Math.max(...colours) + 0.05) / (Math.min(...colours) + 0.05)]);
  }
  return found;
}"""
