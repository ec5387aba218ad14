"""The wizard in a real browser: what its tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fake_clips import FakeClips, Media

pytest.importorskip("playwright", reason="Playwright is not installed")

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium")
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    return Media(tmp_path_factory.mktemp("wizard"))


@pytest.fixture
def service(media: Media) -> Iterator[FakeClips]:
    with FakeClips(media).running() as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, service: FakeClips) -> Iterator[Open]:
    """Opens the page; at the end there must have been no script error and no violation of the policy."""
    contexts, said = [], []

    def opened(address: str = "/", **options: Any) -> Page:
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


def add_clip(page: Page, start: str, end: str, name: str | None = None) -> None:
    """Make a clip by button and typed times."""
    page.get_by_role("button", name="New clip").click()
    if name is not None:
        page.get_by_role("textbox", name="Name").fill(name)
    for words, text in (("End", "24"), ("Start", start), ("End", end)):
        field = page.get_by_role("textbox", name=words, exact=True)
        field.fill(text)
        field.press("Enter")


def saved(page: Page, service: FakeClips) -> list[dict[str, Any]]:
    """Return the clips of the only export, once the page says that they are saved."""
    page.wait_for_timeout(50)
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved")
    (export,) = service.exports.values()
    return export["drafts"]


def open_draft(page: Page, service: FakeClips, clips: tuple[tuple[str, str, str], ...]) -> None:
    """Open the newest video and mark these clips: name, start and end."""
    page.locator("#videos a").first.click()
    for name, start, end in clips:
        add_clip(page, start, end, name)
    saved(page, service)


def go(page: Page, step: str) -> None:
    """Go to a step by its name."""
    page.locator("#steps").get_by_role("button", name=step).click()


def job(page: Page, name: str) -> Locator:
    """Return the card of a clip."""
    return page.locator(".job").filter(has=page.get_by_role("heading", name=name, exact=True))


def press_until(page: Page, key: str, name: str) -> None:
    """Press a key until what is called so has the focus."""
    named = "(document.activeElement.ariaLabel || document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent).trim()"
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate(named) == name:
            return
    pytest.fail(f"{name} is not reached by {key}")
