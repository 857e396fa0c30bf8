"""The page of `s2s serve` in a real browser: Debian's chromium, driven by playwright."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

SHOTS = os.environ.get("S2S_SHOTS")  # a directory for pictures of the page
LINE = {
    "text": "<img src=x onerror=alert(1)>",
    "score": -0.5,
    "log_probability": -1.0,
    "tokens": ["▁<script>alert(1)</script>", "</s>"],
    "diagnostics": ["truncated"],
    "source_tokens": ["▁a", "</s>"],
    "attention": [[0.9, 0.1], [0.2, 0.8]],
}
CONTRAST = """(element) => {
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const numbers = (text) => text.match(/[0-9.]+/g).map(Number);
  let ground = element;
  while (ground && (numbers(getComputedStyle(ground).backgroundColor)[3] ?? 1) < 1) ground = ground.parentElement;
  const one = light(numbers(getComputedStyle(element).color));
  const two = light(numbers(getComputedStyle(ground ?? document.body).backgroundColor));
  return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
}"""


@pytest.fixture(scope="module")
def address(many_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with tiny models of text, with and without attention, and one of pictures."""
    home = tmp_path_factory.mktemp("browser")
    shutil.copytree(many_models, home, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(home))
        for variable in ("LEASES", "CACHE", "SERVERS"):
            patch.setenv(f"S2S_{variable}", str(home / variable.lower()))
        with subprocess.Popen([sys.executable, "-m", "s2s", "serve", "--http", url]) as server:
            for _ in range(200):
                try:
                    urlopen(f"http://{url}/health").close()
                    break
                except OSError:
                    assert server.poll() is None
                    time.sleep(0.1)
            yield f"http://{url}"
            server.terminate()
            assert server.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    """A browser, as Debian packages it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "chromium is missing: apt-get install chromium"
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: "playwright.Browser", address: str) -> Iterator["playwright.Page"]:
    """The page, which must never report an error, break its policy or ask another server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto("/")
    opened.locator(".choice").first.wait_for()
    yield opened
    expected = [one for one in said if "Failed to load resource" not in one]  # an error of the API that a test made
    assert expected == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    context.close()


def choose(page: "playwright.Page", *names: str) -> None:
    for box in page.locator("input[name=model]").all():
        value = box.get_attribute("value") or ""
        box.set_checked(value.partition(":")[0] in names)


def translate(page: "playwright.Page", text: str = "einundzwanzig ; 12. März 1999") -> None:
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Translate").click()
    page.locator("article[aria-busy=false] .output").nth(0).wait_for()
    page.locator("article[aria-busy=true]").wait_for(state="detached") if page.locator(
        "article[aria-busy=true]"
    ).count() else None


def shoot(page: "playwright.Page", name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def weights(page: "playwright.Page", row: int) -> list[str]:
    pieces = page.locator(".row").nth(row).locator(".piece")
    return pieces.evaluate_all("(all) => all.map((one) => one.style.getPropertyValue('--weight'))")


def test_two_models_side_by_side(page):
    choose(page, "numbers-attention", "numbers-bottleneck")
    translate(page)
    attention, bottleneck = page.locator("article").all()
    assert attention.bounding_box()["y"] == bottleneck.bounding_box()["y"]
    assert "numbers-attention:1" in attention.inner_text()
    assert "score" in bottleneck.inner_text()
    assert attention.locator("button.piece").count() > 3
    assert bottleneck.locator("button.piece").count() == 0
    assert "No attention" in bottleneck.inner_text()
    shoot(page, "light")


@pytest.mark.parametrize("how", ["hover", "focus"])
def test_attention_of_a_word(page, how):
    choose(page, "numbers-attention")
    translate(page)
    before = weights(page, 0)
    pieces = page.locator("button.piece")
    getattr(pieces.nth(1), how)()
    first = weights(page, 0)
    getattr(pieces.nth(4), how)()
    assert len({str(before), str(first), str(weights(page, 0))}) == 3
    assert 0.9 < sum(map(float, first)) < 1.1
    assert pieces.nth(4).get_attribute("class").endswith("current")
    shoot(page, f"attention-{how}")


def test_alternatives(page):
    choose(page, "numbers-bottleneck")
    page.get_by_label("show alternatives").check()
    translate(page)
    page.locator("summary").click()
    assert page.locator("details li").count() == 5


def test_lines_are_translated_one_by_one(page):
    choose(page, "numbers-attention")
    translate(page, "drei\n\nvier")
    assert page.locator(".output").count() == 2


@pytest.mark.parametrize("how", ["choose", "drop"])
def test_a_picture(page, how, tmp_path):
    made = [sys.executable, "-m", "s2s", "data", "make", "scenes", "pictures", "--count", "1"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    picture = tmp_path / "pictures" / "1.png"
    choose(page, "scenes-attention")
    if how == "choose":
        page.get_by_label("Picture").set_input_files(picture)
    else:
        content = list(picture.read_bytes())
        transfer = page.evaluate_handle(
            """(content) => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([new Uint8Array(content)], "1.png", { type: "image/png" }));
              return transfer;
            }""",
            content,
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    page.locator("#preview[src]").wait_for()
    page.get_by_role("button", name="Describe").click()
    page.locator(".cells").wait_for()
    page.locator("button.piece").first.hover()
    cells = page.locator(".cells > span")
    assert len(set(cells.evaluate_all("(all) => all.map((one) => getComputedStyle(one).backgroundColor)"))) > 1
    shoot(page, "picture")


def test_errors_are_shown(page):
    fault = {"error": {"message": "the model does not fit", "hint": "stop another"}}
    page.route("**/v1/translate", lambda route: route.fulfill(status=503, json=fault))
    choose(page, "numbers-attention")
    page.get_by_label("Text").fill("drei")
    page.get_by_role("button", name="Translate").click()
    page.get_by_text("the model does not fit (stop another)").wait_for()
    page.get_by_label("Text").fill("")
    page.get_by_role("button", name="Translate").click()
    page.get_by_text("enter a sentence first").wait_for()
    assert page.locator("article .failed").count() == 1


def test_output_is_text_and_never_markup(page):
    answer = {"model": "a:1", "engine": "PyTorch, fp32", "translations": [LINE]}
    page.route("**/v1/translate", lambda route: route.fulfill(json=answer))
    choose(page, "numbers-attention")
    translate(page)
    assert page.get_by_text("<img src=x onerror=alert(1)>").count() == 1
    assert page.locator("article img, article script").count() == 0
    assert "cut off at the length limit" in page.locator("article").inner_text()


def test_a_request_can_be_cancelled(page):
    page.route("**/v1/translate", lambda route: None)
    choose(page, "numbers-attention")
    page.get_by_label("Text").fill("drei")
    page.get_by_label("Text").press("Control+Enter")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("cancelled").wait_for()
    assert page.get_by_role("button", name="Translate").is_enabled()


def test_a_token_is_asked_for_and_sent(page):
    sent: list[str] = []

    def answer(route: "playwright.Route") -> None:
        given = route.request.headers.get("authorization", "")
        sent.append(given)
        fault = {"error": {"message": "the token is missing or wrong", "hint": None}}
        route.continue_() if given == "Bearer secret" else route.fulfill(status=401, json=fault)

    page.route("**/v1/models", answer)
    page.reload()
    page.get_by_label("Token").fill("secret")
    page.get_by_role("button", name="Use it").click()
    page.locator(".choice").first.wait_for()
    assert sent == ["", "Bearer secret"]
    assert not page.get_by_label("Token").is_visible()


def test_a_comparison_can_be_linked_to(page, address):
    choose(page, "numbers-attention", "numbers-bottleneck")
    page.get_by_label("Text").fill("drei & vier")
    link = page.evaluate("location.href")
    page.goto("about:blank")
    page.goto(link)
    page.locator(".choice").first.wait_for()
    assert page.get_by_label("Text").input_value() == "drei & vier"
    assert page.locator("input[name=model]:checked").count() == 2


def test_a_registry_without_models(page):
    page.route("**/v1/models", lambda route: route.fulfill(json={"models": []}))
    page.goto("/")
    page.reload()
    page.get_by_text("s2s train numbers/attention").wait_for()
    assert not page.get_by_role("button", name="Translate").is_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_readable(page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    choose(page, "numbers-attention", "numbers-bottleneck")
    translate(page, "drei ; " * 20 + "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 3)
    page.locator("button.piece").nth(2).focus()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for selector in (
        "h1",
        ".hint >> nth=0",
        "#run",
        ".best >> nth=0",
        "summary",
        ".piece.current",
        "legend",
        ".choice >> nth=0",
    ):
        for element in page.locator(selector).all()[:2]:
            assert element.evaluate(CONTRAST) >= 4.5, selector
    shoot(page, f"{scheme}-{width}")


def test_shown_json_is_what_the_api_says(page, address):
    with urlopen(f"{address}/v1/models") as answer:
        models = json.load(answer)["models"]
    assert page.locator(".choice").count() == len(models) == 4
