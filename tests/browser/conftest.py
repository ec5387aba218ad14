"""The pages in a real browser, on a service in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page  # wizard_pages skips where it is not installed

from fake_clips import FakeClips
from fake_media import Media
from wizard_pages import Open, started


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Chromium, or what the module or BROWSER says: docs/browsers.md has what is known not to work elsewhere."""
    with started(getattr(request, "param", None) or os.environ.get("BROWSER", "chromium")) as browser:
        yield browser


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    return Media(tmp_path_factory.mktemp("wizard"))


@pytest.fixture
def service(media: Media) -> Iterator[FakeClips]:
    with FakeClips(media).running() as running:
        yield running


@pytest.fixture
def home() -> str:
    """Where a page is opened, unless the test says where."""
    return "/"


@pytest.fixture
def open_page(browser: Browser, service: FakeClips, home: str) -> Iterator[Open]:
    """Opens the page; at the end there must have been no script error and no violation of the policy."""
    contexts, said = [], []

    def opened(address: str = home, **options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.add_init_script(
            "window.violations = [];"
            "document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective));"
        )
        page.goto(service.url + address)
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.violations ?? []") == []
        context.close()
    # the browser notes every answer that is no success; those are the service's, and tests of their own
    assert [text for text in said if "Failed to load resource" not in text and "ERR_" not in text] == []
