"""The wizard for everybody: no accessibility violation on any step, any width and scheme, and what it may load."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fake_clips import FakeClips
from wizard_pages import (
    Open,
    go,
    job,
    needs_chromium,
    open_draft,
)

pytestmark = needs_chromium
TWO = (("One", "1", "9"), ("Two", "10", "20"))
# what a pointer needs (WCAG 2.5.8); inline links, native range inputs, and inputs in larger labels are exempt
SMALL = """() => {
  const sizes = (e) => { const { width, height } = e.getBoundingClientRect(); return Math.min(width, height); };
  const exempt = ":not([type=range], [type=radio], [type=checkbox], [type=file])";
  return [...document.querySelectorAll(`button, select, input${exempt}, .edge, .segment, .check`)]
    .filter((e) => e.checkVisibility() && sizes(e) < 23.9).map((e) => e.outerHTML.slice(0, 80));
}"""

# what a finger needs, below which size of letters a phone zooms into a field, and times that are cut off
FINGERS = """() => {
  const typed = "select, textarea, input:not([type=range], [type=radio], [type=checkbox], [type=file])";
  const links = "a.button, .quiet-link, .home";
  const pressed = `button:not(.block-name), summary, ${links}, .file-button, .segment, .check, ${typed}`;
  const size = (e) => e.getBoundingClientRect();
  const all = (what) => [...document.querySelectorAll(what)].filter((e) => e.checkVisibility());
  const low = all(pressed).filter((e) => size(e).height < 43.9 || size(e).width < 39.9);
  const tiny = all(typed).filter((e) => parseFloat(getComputedStyle(e).fontSize) < 16);
  const cut = all("input.time").filter((e) => e.scrollWidth > e.clientWidth);
  return [...low, ...tiny, ...cut].map((e) => e.outerHTML.slice(0, 80));
}"""


def axe_script() -> str:
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, script: str) -> list[str]:
    """Return what axe-core finds on the page as it is now."""
    page.evaluate(script)
    page.wait_for_timeout(350)  # transitions
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("scheme", "width"), [("dark", 390), pytest.param("light", 1280, marks=pytest.mark.thorough), ("light", 320)]
)
def test_no_step_has_a_violation_or_overflows(service: FakeClips, open_page: Open, scheme: str, width: int) -> None:
    script = axe_script()
    service.add_video("x" * 200 + ".mp4")
    page = open_page(viewport={"width": width, "height": 820}, color_scheme=scheme)

    def look(step: str) -> None:
        if width != 320:  # there the same page, only narrower
            assert violations(page, script) == [], step
        assert page.evaluate("document.documentElement.scrollWidth") <= width, step
        assert page.evaluate(SMALL) == [], step

    to_framing(page, service, look)
    page.locator("#shot-layout").get_by_role("radio", name="Split").check()
    page.get_by_label("Show what apps cover").check()
    look("frame")
    go(page, "Captions")
    page.get_by_role("button", name="Write down what is said").click()
    expect(page.locator(".cue-row")).to_have_count(1)
    look("captions")
    go(page, "Export")
    look("before the export")
    page.locator("#start").click()
    expect(page.locator(".job")).to_have_count(2)
    service.progress("One", 42)
    service.encoder("One", "h264_nvenc", "nvidia")
    service.progress("Two", 12)
    service.fail("Two")
    expect(job(page, "Two")).to_contain_text("The encoder gave up.")
    look("export")
    service.finish("One")
    job(page, "One").get_by_role("button", name="Play").click()
    job(page, "One").locator("summary").click()
    expect(job(page, "One")).to_contain_text("LUFS")
    look("done")
    page.keyboard.press("?")
    look("keys")


def to_framing(page: Page, service: FakeClips, look: Callable[[str], None]) -> None:
    """Go from the choice of a video to its framing, and look at each step on the way."""
    expect(page.locator("#videos .card")).to_have_count(1)
    look("choose")
    open_draft(page, service, TWO)
    look("mark")
    go(page, "Frame")
    expect(page.locator("#framing-state")).to_contain_text("faces by haar")


@pytest.mark.parametrize("width", [390, pytest.param(320, marks=pytest.mark.thorough)])
def test_fingers_hit_what_they_press_and_no_field_is_zoomed_into(
    service: FakeClips, open_page: Open, width: int
) -> None:
    service.add_video()
    page = open_page(viewport={"width": width, "height": 844}, has_touch=True, is_mobile=True)

    def look(step: str) -> None:
        assert page.evaluate(FINGERS) == [], step
        assert page.evaluate("document.documentElement.scrollWidth") <= width, step

    to_framing(page, service, look)
    look("frame")
    go(page, "Captions")
    page.get_by_role("button", name="Write them here").click()
    look("captions")
    go(page, "Export")
    look("before the export")
    page.locator("#start").click()
    expect(page.locator(".job")).to_have_count(2)
    service.finish("One")
    expect(job(page, "One")).to_contain_text("1080")
    look("export")
    page.get_by_role("link", name="Jobs").click()
    expect(page.locator("#list")).to_be_visible()
    look("jobs")


def test_who_wants_no_motion_gets_none(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page(reduced_motion="reduce")
    expect(page.locator("#videos .card")).to_have_count(1)
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).transitionProperty") == "none"


def test_a_chosen_scheme_holds_on_both_pages(service: FakeClips, open_page: Open) -> None:
    page = open_page(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.get_by_role("link", name="Jobs").click()
    expect(page.locator("#list")).to_be_visible()
    assert page.evaluate(ground) == dark
    page.get_by_role("link", name="Shorts").click()
    expect(page.locator("#choose-title")).to_be_visible()
    assert page.evaluate(ground) == dark


def test_the_page_loads_nothing_but_its_own(service: FakeClips, open_page: Open) -> None:
    page = open_page()
    text = page.request.get(service.url + "/").text()
    assert re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text) is None
    expect(page.locator("#choose")).to_be_visible()
    assert page.evaluate("performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin))")
