"""The page with the server that it is made for."""

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect
from served import serving, set_home
from test_page import cell, picture

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(many_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with tiny models."""
    home = tmp_path_factory.mktemp("browser")
    shutil.copytree(many_models, home, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        set_home(patch, home)
        with serving(home, "--http", place):
            wait_for_http(f"http://{place}")
            yield f"http://{place}"


def wait_for_http(address: str) -> None:
    """Wait until requests are answered: the server listens to its socket before."""
    for _ in range(200):
        with contextlib.suppress(OSError), urlopen(f"{address}/health"):
            return
        time.sleep(0.05)
    raise AssertionError("HTTP requests are not answered")


def asked(page: "Page", address: str, *models: str, text: str = "", picture: bytes = b"") -> None:
    """Open the page with models and a text or a picture, press the button and wait for the answers."""
    values = {"models": ",".join(f"{model}:1" for model in models), "text": text}
    page.goto(f"{address}/#{urlencode(values)}")
    button = page.get_by_role("button", name="Describe" if picture else "Translate")
    button.wait_for()
    if picture:
        page.locator("#file").set_input_files({"name": "scene.png", "mimeType": "image/png", "buffer": picture})
    button.click()
    expect(page.locator("#status")).to_contain_text(f"of {len(models)} model", timeout=30_000)
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=30_000)


def shades(output: "Locator") -> list[str]:
    """Return how much each source word is shaded."""
    return output.locator(".source-word").evaluate_all("all => all.map(one => one.style.getPropertyValue('--weight'))")


def test_real_models_side_by_side(page: "Page", address: str) -> None:
    asked(page, address, "numbers-attention", "numbers-bottleneck", text="einundzwanzig zwölf")
    expect(page.locator("#status")).to_have_text("2 of 2 models answered.")
    attention, bottleneck = cell(page, "numbers-attention"), cell(page, "numbers-bottleneck")
    expect(bottleneck).to_contain_text("average log-probability")
    expect(bottleneck).to_contain_text("No attention")
    expect(bottleneck.get_by_role("option")).to_have_count(0)
    assert set(shades(attention)) == {""}
    attention.get_by_role("option").first.hover()
    pointed_at = shades(attention)
    assert max(map(float, pointed_at)) > 0
    page.mouse.move(0, 0)
    attention.get_by_role("option").first.focus()
    assert shades(attention) == pointed_at
    expect(attention.locator(".source-word")).to_have_text(["einundzwanzig", "zwölf", "</s>"])


def test_real_alternatives(page: "Page", address: str) -> None:
    asked(page, address, "numbers-bottleneck", "numbers-transformer", text="einundzwanzig")
    for model in ("numbers-bottleneck", "numbers-transformer"):
        cell(page, model).get_by_text("Alternatives").click()
        expect(cell(page, model).get_by_role("listitem")).to_have_count(5)


def test_real_picture(page: "Page", address: str) -> None:
    asked(page, address, "scenes-attention", picture=picture())
    output = cell(page, "scenes-attention")
    output.get_by_role("option").first.hover()
    expect(output.locator(".looked")).to_contain_text("← most at row")


def test_real_errors(page: "Page", address: str) -> None:
    asked(page, address, "scenes-attention", picture=b"no picture")
    expect(cell(page, "scenes-attention").get_by_role("alert")).to_contain_text("images.0")
    asked(page, address, "numbers-attention", text="eins " * 5000)
    expect(cell(page, "numbers-attention").get_by_role("alert")).to_contain_text("at most 20000 characters")


def test_real_outputs_on_a_narrow_screen(page: "Page", address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    asked(page, address, "numbers-attention", "numbers-transformer", text="einundzwanzig ; " * 20)
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.get_by_role("listitem")).to_have_count(10)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
