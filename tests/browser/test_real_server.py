"""The page with the server that it is made for."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from served import serving, set_home

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

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
            yield f"http://{place}"


@pytest.fixture
def opened(context: "BrowserContext", address: str) -> Iterator["Page"]:
    """A page with two models and a sentence. It may report no error, and ask no other server."""
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(own) else None)
    own = (f"{address}/", "data:", "blob:")
    models = "numbers-attention:1,numbers-bottleneck:1"
    for _ in range(100):  # until HTTP is answered, too
        try:
            page.goto(f"{address}/#{urlencode({'models': models, 'text': 'einundzwanzig'})}")
            break
        except Exception:
            page.wait_for_timeout(100)
    said.clear()
    yield page
    assert said == []


def test_real_models_side_by_side(opened: "Page") -> None:
    opened.get_by_role("button", name="Translate").click()
    opened.get_by_text("2 of 2 models answered.").wait_for(timeout=30_000)
    attention, bottleneck = (
        opened.locator(f"article[data-model='numbers-{name}:1']") for name in ("attention", "bottleneck")
    )
    assert "average log-probability" in bottleneck.inner_text()
    assert bottleneck.locator("[role=option]").count() == 0
    weights = "(all) => all.map((one) => one.style.getPropertyValue('--weight')).join()"
    before = attention.locator(".source-word").evaluate_all(weights)
    attention.locator("[role=option]").nth(1).hover()
    assert attention.locator(".source-word").evaluate_all(weights) != before
