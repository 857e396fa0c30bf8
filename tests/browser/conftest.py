"""A browser, a server, and a page of it that is watched for errors."""

import os
import shutil
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from stand_in import StandIn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
NAMES = ("chromium", "chromium-browser", "google-chrome")
STATUS = "Failed to load resource: the server responded with a status of"  # what Chromium says of 401 and the like


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium, of the system."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail("Chromium is not installed: make browser")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # which Chromium refuses to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server that runs."""
    with StandIn() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.answering.set()
        server.shutdown()
    assert server.wrong == []


@pytest.fixture
def address(server: StandIn) -> str:
    """The address of the page; tests of another server have another one."""
    return server.url


@pytest.fixture
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """A window of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(5000)
    yield context
    context.close()


@pytest.fixture
def page(context: "BrowserContext", address: str) -> Iterator["Page"]:
    """A page, not loaded yet. It may have no error, violate no policy, and ask no other server."""
    page = context.new_page()
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    yield page
    assert [error for error in errors if not error.startswith(STATUS)] == []
    assert {url for url in requests if not url.startswith((f"{address}/", "data:", "blob:"))} == set()
