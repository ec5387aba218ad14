"""The wizard in a real browser: what its tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from fake_clips import FakeClips

pytest.importorskip("playwright", reason="Playwright is not installed")

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium")
FIREFOX = os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
COMMANDS = Path(__file__).with_name("firefox_commands.cjs")
# Playwright reads labels in a way that makes Firefox 153 fall over; with this, it reads them in another.
LABELS = {"accessibility.ARIAElementReflection.enabled": False}
Open = Callable[..., Page]
FOCUSED = """() => {
  const { ariaLabel, labels, textContent } = document.activeElement;
  return (ariaLabel || labels?.[0]?.textContent || textContent).trim();
}"""


@contextmanager
def started(name: str) -> Iterator[Browser]:
    """Start a browser: "chromium", or the "firefox" of this machine, which is driven by WebDriver BiDi."""
    more = {"NODE_OPTIONS": f"--require {COMMANDS}"} if name == "firefox" else {}
    with mock.patch.dict(os.environ, more):
        playwright = sync_playwright().start()
    try:
        if name == "firefox":
            must_have(FIREFOX, "Firefox: apt install firefox-esr")
            browser = playwright.firefox.launch(
                channel="moz-firefox", executable_path=FIREFOX, firefox_user_prefs=LABELS
            )
        else:
            must_have(CHROMIUM, "Chromium: apt install chromium")
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
    finally:
        playwright.stop()


def must_have(program: str | None, what: str) -> None:
    """Skip the test where a browser is missing; CI has them all."""
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {what}")
        pytest.skip(f"there is no {what}")


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
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate(FOCUSED) == name:
            return
    pytest.fail(f"{name} is not reached by {key}")
