"""The HTML report of a comparison in Chromium: for everybody, at any width, offline, by keyboard, on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from test_wizard_look import SMALL, axe_script, violations

from comparisons import HOSTILE, entry, report
from wizard_pages import needs_chromium

pytestmark = needs_chromium
Shown = Callable[..., Page]


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Iterator[Shown]:
    """Opens a report from a file; nothing may be asked for, refused by its policy or said on the console."""
    contexts, said = [], []

    def opened(text: str, **options: Any) -> Page:
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda r: None if r.url.startswith(("data:", path.as_uri())) else said.append(r.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 375), ("light", 320)])
def test_no_violation_and_nothing_wider_than_the_window(shown: Shown, scheme: str, width: int) -> None:
    page = shown(
        report(entry(HOSTILE), entry("b" * 200 + ".mp4"), min_vmaf=93), color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALL) == []
    assert violations(page, axe_script()) == []
    drawn = page.locator(".chart svg:visible")
    expect(drawn).to_have_count(1)
    expect(drawn).to_have_class("narrow" if width < 700 else "wide")


def test_the_slider_is_moved_by_keys_and_by_hand(shown: Shown) -> None:
    page = shown(report(entry()))
    first = page.locator(".pair").first
    slider, after = first.get_by_role("slider"), first.locator(".after")
    slider.focus()
    page.keyboard.press("Home")
    expect(after).to_have_css("clip-path", "inset(0px 0px 0px 0%)")
    page.keyboard.press("End")
    expect(after).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    box = first.locator(".views").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    expect(after).to_have_css("clip-path", "inset(0px 0px 0px 25%)")
    assert "25 percent" in (slider.get_attribute("aria-valuetext") or "")
    before, over = first.locator(".before img").bounding_box(), first.locator(".after img").bounding_box()
    assert before == over  # one over the other
    page.get_by_label("Side by side").first.check()
    before, over = first.locator(".before img").bounding_box(), first.locator(".after img").bounding_box()
    assert before is not None
    assert over is not None
    assert over["x"] >= before["x"] + before["width"]
    expect(after).to_have_css("clip-path", "none")


def test_the_curve_is_read_by_keys(shown: Shown) -> None:
    page = shown(report(entry(), entry("b.mp4")))
    page.get_by_label("Step along the curve").focus()
    page.keyboard.press("End")
    reading = page.locator("#reading")
    expect(reading).to_contain_text("0:08.00")
    expect(reading).to_contain_text("b.mp4 9")  # 94 and a ripple
    page.get_by_label("Step along the curve").fill("400")  # 3.2 s: in the dip
    expect(reading).to_contain_text("0:03.20: a.mp4 3")
    mark = page.locator(".chart .wide .mark").first
    mark.focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#frame-1-1")
    expect(page.locator("#frame-1-1")).to_be_in_viewport()


def test_without_scripts_and_on_paper_everything_is_there(shown: Shown) -> None:
    page = shown(report(entry()), java_script_enabled=False)
    for where in ("before", "after"):
        expect(page.locator(f".pair .{where} img").first).to_be_visible()
    boxes = [page.locator(f".pair .{where} img").first.bounding_box() for where in ("before", "after")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[1]["x"] > boxes[0]["x"]
    page = shown(report(entry()))
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator(".after").first).to_have_css("clip-path", "none")
    expect(page.locator(".cursor")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 28, 38)"
